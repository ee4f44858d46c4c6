package org.tensorflow.lite;

/** Signatures of LiteRT 1.4's interface, as far as generated modules use them. */
public interface Tensor {
    DataType dataType();

    int numBytes();

    String name();
}
