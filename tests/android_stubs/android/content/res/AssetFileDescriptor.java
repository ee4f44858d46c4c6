package android.content.res;

import java.io.Closeable;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;

/** Signatures of Android's class, for a file that is one asset. */
public class AssetFileDescriptor implements Closeable {
    private final File file;

    AssetFileDescriptor(File file) throws FileNotFoundException {
        if (!file.isFile()) {
            throw new FileNotFoundException(file.getName());
        }
        this.file = file;
    }

    public FileInputStream createInputStream() throws IOException {
        return new FileInputStream(file);
    }

    public long getStartOffset() {
        return 0;
    }

    public long getDeclaredLength() {
        return file.length();
    }

    @Override
    public void close() throws IOException {}
}
