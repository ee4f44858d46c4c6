package com.acme.digits;

import java.nio.ByteBuffer;

/** Stands where NativeEngine.kt stands in an app: the class that the native library binds its function to. */
final class NativeEngine {
    private native void invoke(ByteBuffer arena, byte[][] inputs, byte[][] outputs);

    void call(ByteBuffer arena, byte[][] inputs, byte[][] outputs) {
        invoke(arena, inputs, outputs);
    }

    static void load(String library) {
        System.load(library);
    }
}
