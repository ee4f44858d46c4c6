package org.tensorflow.lite.gpu;

import java.io.Closeable;
import org.tensorflow.lite.Delegate;

/** Signatures of LiteRT 1.4's class. */
public class GpuDelegate implements Delegate, Closeable {
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
