package org.tensorflow.lite.gpu;

import java.io.Closeable;

/** Signatures of LiteRT 1.4's class. */
public class CompatibilityList implements Closeable {
    public boolean isDelegateSupportedOnThisDevice() {
        return Boolean.getBoolean("stub.gpu");
    }

    @Override
    public void close() {}
}
