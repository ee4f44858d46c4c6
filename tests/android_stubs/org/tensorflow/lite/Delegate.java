package org.tensorflow.lite;

import java.io.Closeable;

/** Signatures of LiteRT 1.4's interface. */
public interface Delegate extends Closeable {
    long getNativeHandle();

    @Override
    default void close() {}
}
