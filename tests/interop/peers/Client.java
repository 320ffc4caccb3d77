import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.concurrent.*;
import javax.net.ssl.*;

/** java Client.java URL CA-FILE: java.net.http.WebSocket as a client. */
public class Client {
    static final int[] SIZES = {0, 1, 125, 126, 65535, 65536, 1 << 20};

    /** Puts messages together and hands them on; a close is an array of code and reason. */
    static class Inbox implements WebSocket.Listener {
        final BlockingQueue<Object> messages = new LinkedBlockingQueue<>();
        final StringBuilder text = new StringBuilder();
        final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        public CompletionStage<?> onText(WebSocket ws, CharSequence data, boolean last) {
            text.append(data);
            if (last) {
                messages.add(text.toString());
                text.setLength(0);
            }
            ws.request(1);
            return null;
        }

        public CompletionStage<?> onBinary(WebSocket ws, ByteBuffer data, boolean last) {
            byte[] part = new byte[data.remaining()];
            data.get(part);
            bytes.writeBytes(part);
            if (last) {
                messages.add(ByteBuffer.wrap(bytes.toByteArray()));
                bytes.reset();
            }
            ws.request(1);
            return null;
        }

        public CompletionStage<?> onClose(WebSocket ws, int code, String reason) {
            messages.add(new Object[] {code, reason});
            return null;
        }

        public void onError(WebSocket ws, Throwable error) {
            messages.add(error);
        }

        Object next() throws Exception {
            Object message = messages.poll(10, TimeUnit.SECONDS);
            if (message == null) throw new TimeoutException("nothing came");
            if (message instanceof Exception error) throw error;
            return message;
        }
    }

    static String text(int size) {
        return "aé€𝄞".repeat(size / 10) + "x".repeat(size % 10);
    }

    static ByteBuffer binary(int size) {
        byte[] bytes = new byte[size];
        int state = 1;
        for (int at = 0; at < size; at++) {
            state = state * 69069 + 1;
            bytes[at] = (byte) (state >>> 24);
        }
        return ByteBuffer.wrap(bytes);
    }

    static SSLContext trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream in = Files.newInputStream(Path.of(file))) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    static void check(String name, Object sent, Object received) {
        System.out.println(sent.equals(received) ? "ok " + name : "error " + name + " came back different");
    }

    static void report(String began, Object close) {
        System.out.println(close instanceof Object[] frame
                ? "closed " + began + " " + frame[0] + " " + frame[1] : "error not closed but " + close);
    }

    public static void main(String[] args) throws Exception {
        System.setOut(new PrintStream(System.out, true, "UTF-8"));
        try {
            run(URI.create(args[0]), args[1]);
        } catch (Exception error) {
            System.out.println("error " + error);
        }
        System.exit(0);
    }

    static void run(URI url, String ca) throws Exception {
        HttpClient.Builder builder = HttpClient.newBuilder();
        if (url.getScheme().equals("wss")) builder.sslContext(trusting(ca));
        HttpClient client = builder.build();
        Inbox inbox = new Inbox();
        WebSocket ws = client.newWebSocketBuilder().buildAsync(url, inbox).get(10, TimeUnit.SECONDS);
        for (int size : SIZES) {
            ws.sendText(text(size), true).get(10, TimeUnit.SECONDS);
            check("text " + size, text(size), inbox.next());
            ws.sendBinary(binary(size), true).get(10, TimeUnit.SECONDS);
            check("binary " + size, binary(size), inbox.next());
        }
        ws.sendClose(4001, "à bientôt").get(10, TimeUnit.SECONDS);
        report("client", inbox.next());

        inbox = new Inbox();
        ws = client.newWebSocketBuilder().buildAsync(url, inbox).get(10, TimeUnit.SECONDS);
        ws.sendText("close 4002 à plus tard", true).get(10, TimeUnit.SECONDS);
        report("server", inbox.next());
        ws.sendClose(4002, "à plus tard").exceptionally(error -> null).get(10, TimeUnit.SECONDS);
    }
}
