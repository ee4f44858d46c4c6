package android.app;

import android.content.Context;
import android.content.res.AssetManager;
import android.os.Bundle;
import java.io.File;

/** Signatures of Android's class: the app's assets and the tests' assets are folders named by properties. */
public class Instrumentation {
    public Context getContext() {
        return new Context(new AssetManager(new File(System.getProperty("stub.testAssets"))));
    }

    public Context getTargetContext() {
        return new Context(new AssetManager(new File(System.getProperty("stub.assets"))));
    }

    public void sendStatus(int resultCode, Bundle results) {
        System.out.println(results.getString("stream"));
    }
}
