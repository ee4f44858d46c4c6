package android.os;

/** Signatures of Android's class. Its clock goes a thousand times too fast, so that a benchmark of a second ends soon. */
public final class SystemClock {
    private SystemClock() {}

    public static long elapsedRealtimeNanos() {
        return System.nanoTime() * 1000;
    }

    public static long elapsedRealtime() {
        return elapsedRealtimeNanos() / 1_000_000;
    }
}
