package com.acme.digits;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Calls the native engine from a real virtual machine, rightly and wrongly; a line for each case, as fake_jvm.c prints them. */
final class Cases {
    private static final NativeEngine ENGINE = new NativeEngine();
    private static byte[] golden;
    private static byte[] output;

    /** Arguments: the library, the arena's bytes, the output's bytes. Standard input: the golden input. */
    public static void main(String[] arguments) throws IOException {
        NativeEngine.load(arguments[0]);
        golden = System.in.readAllBytes();
        output = new byte[Integer.parseInt(arguments[2])];
        run(Integer.parseInt(arguments[1]));
    }

    private static void run(int arenaBytes) {
        ByteBuffer arena = ByteBuffer.allocateDirect(arenaBytes + 16);
        byte[][] in = {golden};
        byte[][] out = {output};
        call("golden", arena, in, out);
        ByteBuffer larger = ByteBuffer.allocateDirect(arenaBytes + 32);
        for (int shift = 0; shift < 16; shift++) {
            call("shifted", larger.position(shift).limit(shift + arenaBytes + 16).slice(), in, out);
        }
        call("small arena", ByteBuffer.allocateDirect(arenaBytes - 1), in, out);
        call("heap arena", ByteBuffer.allocate(arenaBytes + 16), in, out);
        call("null arena", null, in, out);
        call("no inputs", arena, new byte[0][], out);
        call("null inputs", arena, null, out);
        call("two inputs", arena, new byte[][] {golden, golden}, out);
        call("null input", arena, new byte[1][], out);
        call("short input", arena, new byte[][] {new byte[golden.length - 1]}, out);
        call("long input", arena, new byte[][] {new byte[golden.length + 1]}, out);
        call("short output", arena, in, new byte[][] {new byte[output.length - 1]});
        call("long output", arena, in, new byte[][] {new byte[output.length + 1]});
        call("null outputs", arena, in, null);
        call("golden after all", arena, in, out);
    }

    private static void call(String name, ByteBuffer arena, byte[][] inputs, byte[][] outputs) {
        Arrays.fill(output, (byte) 0x55);
        try {
            ENGINE.call(arena, inputs, outputs);
            StringBuilder hex = new StringBuilder();
            for (byte b : output) hex.append(String.format("%02x", b));
            System.out.println(name + " " + hex);
        } catch (IllegalArgumentException e) {
            System.out.println(name + " IllegalArgumentException: " + e.getMessage());
        }
    }
}
