// What a Rust program does every day: threads and channels, files, a child process, and a connection.
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

fn main() {
    let (sender, receiver) = channel();
    let threads: Vec<_> = (0..16u64)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || sender.send((0..100_000).fold(number, |sum, round| sum ^ round)).unwrap())
        })
        .collect();
    drop(sender);
    for thread in threads {
        thread.join().unwrap();
    }
    println!("threads={}", receiver.iter().count());
    std::fs::File::create("/tmp/file").unwrap().write_all(b"text").unwrap();
    println!("files={}", std::fs::read_to_string("/tmp/file").unwrap());
    let output = Command::new("/usr/bin/echo").arg("spoken").output().unwrap();
    println!("child={}", String::from_utf8_lossy(&output.stdout).trim());
    println!("connect_refused={}", TcpStream::connect("127.0.0.1:9").is_err());
}
