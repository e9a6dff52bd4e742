"""What a Python program does every day: threads, processes with locks and queues, files, a child, and a socket."""

import multiprocessing
import socket
import subprocess
import sys
import threading


def square(number):
    return number * number


def add_with_lock(lock, total, count):
    for _ in range(count):
        with lock:
            total.value += 1


def run_threads():
    results = []
    threads = [threading.Thread(target=lambda number=number: results.append(square(number))) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(results)


def run_processes():
    with multiprocessing.Pool(4) as pool:
        squares = pool.map(square, range(10))
    lock, total, queue = multiprocessing.Lock(), multiprocessing.Value("i", 0), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=add_with_lock, args=(lock, total, 100)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    queue.put(total.value)
    return f"{sum(squares)},{queue.get(timeout=10)}"


def write_and_read():
    with open("/tmp/file", "w", encoding="utf-8") as file:
        file.write("text")
    with open("/tmp/file", encoding="utf-8") as file:
        return file.read()


def connect():
    try:
        socket.create_connection(("127.0.0.1", 9))
    except OSError as error:
        return error.strerror
    return "connected"


def say_all(say):
    say(f"threads={run_threads()}")
    say(f"processes={run_processes()}")
    say(f"files={write_and_read()}")
    child = subprocess.run(["/usr/bin/echo", "spoken"], capture_output=True, text=True, check=True)
    say(f"child={child.stdout.strip()}")
    say(f"connect={connect()}")


if __name__ == "__main__":
    say_all(print)
    sys.exit(0)
