"""Runs a program at a terminal of its own, types what a person would type, and says what nobody read.

    pty.py EARLY ANSWER PROGRAM WORD...

EARLY is typed before the program starts, where it is not empty. ANSWER is typed once the plan is shown; HASH in it
stands for the plan's short hash. Prints JSON: the exit code, what the terminal showed, the hash, and the lines that
were typed and that are still there when the program has ended.
"""

import fcntl, json, os, re, select, subprocess, sys, termios

early, answer, command = sys.argv[1], sys.argv[2], sys.argv[3:]
END = "the end"
master, slave = os.openpty()
result, tell = os.pipe()


def type_line(text):
    os.write(master, text.encode() + b"\n")


# The terminal belongs to a session whose leader outlives the program, so that what was typed survives it.
if early:
    type_line(early)
if os.fork() == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    code = subprocess.run(command, stdin=slave, stdout=slave, stderr=slave).returncode
    os.write(tell, bytes([code]))
    left = b""
    while not left.endswith(END.encode() + b"\n"):
        left += os.read(slave, 4096)
    os.write(tell, json.dumps(left.decode().splitlines()[:-1]).encode())
    os._exit(0)
os.close(tell)

shown, hash, code = b"", None, None
while code is None or hash is None:
    ready = select.select([master, result][: 2 if code is None else 1], [], [], 60)[0]
    if not ready:
        sys.exit(f"nothing happens any more, after:\n{shown.decode()}")
    if master in ready:
        shown += os.read(master, 4096)
    if result in ready:
        code = os.read(result, 1)[0]
    found = re.search(rb"short +([0-9a-f]{8})", shown)
    if found and hash is None:
        hash = found[1].decode()
        type_line(answer.replace("HASH", hash))
type_line(END)
left = json.loads(os.read(result, 65536))
print(json.dumps({"code": code, "left": left, "shown": shown.decode(), "hash": hash}))
