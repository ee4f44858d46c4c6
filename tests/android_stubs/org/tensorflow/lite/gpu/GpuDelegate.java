package org.tensorflow.lite.gpu;

import org.tensorflow.lite.Delegate;

/** Signatures of LiteRT 1.4's class. */
public class GpuDelegate implements Delegate {
    public GpuDelegate() {}

    @Override
    public long getNativeHandle() {
        return 1;
    }

    @Override
    public void close() {
        System.out.println("GPU delegate closed");
    }
}
