package android.content;

import android.content.res.AssetManager;

/** Signatures of Android's class, as far as generated modules use them. */
public class Context {
    private final AssetManager assets;

    public Context(AssetManager assets) {
        this.assets = assets;
    }

    public AssetManager getAssets() {
        return assets;
    }
}
