package org.tensorflow.lite;

/** The entries of LiteRT 1.4's enum. */
public enum DataType {
    FLOAT32,
    INT32,
    UINT8,
    INT64,
    STRING,
    BOOL,
    INT16,
    INT8
}
