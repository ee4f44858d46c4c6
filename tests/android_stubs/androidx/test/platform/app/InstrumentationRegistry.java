package androidx.test.platform.app;

import android.app.Instrumentation;

/** Signatures of androidx.test's class, as far as generated tests use them. */
public final class InstrumentationRegistry {
    private InstrumentationRegistry() {}

    public static Instrumentation getInstrumentation() {
        return new Instrumentation();
    }
}
