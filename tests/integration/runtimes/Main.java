// What a Java program does every day: threads, compiled code, garbage, files, a child process, and a socket.
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;

public class Main {
  static int hotLoop() {
    int sum = 0;
    for (int round = 0; round < 50_000_000; ++round) sum = (sum + round) % 1_000_003;
    return sum;
  }

  public static void main(String[] arguments) throws Exception {
    var pool = Executors.newFixedThreadPool(8);
    List<Callable<Integer>> tasks = IntStream.range(0, 8).<Callable<Integer>>mapToObj(it -> Main::hotLoop).toList();
    System.out.println("threads=" + pool.invokeAll(tasks).size());
    pool.shutdown();
    long garbage = IntStream.range(0, 200).mapToLong(it -> new byte[1 << 20].length).sum();
    System.out.println("garbage=" + garbage);
    Files.writeString(Path.of("/tmp/file"), "text");
    System.out.println("files=" + Files.readString(Path.of("/tmp/file")));
    var child = new ProcessBuilder("/usr/bin/echo", "spoken").start();
    System.out.println("child=" + new String(child.getInputStream().readAllBytes()).strip());
    try (var socket = new Socket("127.0.0.1", 9)) {
      System.out.println("socket=connected");
    } catch (Exception error) {
      System.out.println("socket=refused");
    }
  }
}
