package android.util;

/** Signatures of Android's class, into standard output. */
public final class Log {
    private Log() {}

    public static int i(String tag, String msg) {
        System.out.println("I/" + tag + ": " + msg);
        return 0;
    }
}
