package org.tensorflow.lite;

/** The signature that every release of LiteRT 1.x has; some let it extend Closeable. */
public interface Delegate {
    long getNativeHandle();
}
