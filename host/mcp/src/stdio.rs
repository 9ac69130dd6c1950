//! MCP over standard input and output.
//!
//! The protocol's two streams are taken away from the process before anything else happens: descriptor 0 is then empty,
//! and what is written to descriptor 1 goes where errors go. So no stray print, of a library or of anything this
//! process ever starts, can be taken for a reply.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::thread::JoinHandle;

use rmcp::service::{ServerInitializeError, serve_server_with_ct};
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use crate::front::Front;
use crate::server::Server;

/// The protocol's streams, which nothing else in the process has.
pub struct Streams {
    input: OwnedFd,
    output: OwnedFd,
}

/// A stream with a thread that copies it, where it is one that cannot be waited for: a terminal, a file.
type Copied<T> = (T, Option<JoinHandle<()>>);
type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

impl Streams {
    /// Takes descriptors 0 and 1 away from the process.
    ///
    /// # Errors
    ///
    /// The system refuses; one of the two, or standard error, may be closed.
    pub fn take() -> io::Result<Self> {
        // From 3 on, and not inherited by what is started.
        let away = |stream: std::os::fd::BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        let input = away(rustix::stdio::stdin())?;
        let output = away(rustix::stdio::stdout())?;
        let nothing = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&nothing)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self { input, output })
    }

    /// The streams as the runtime of this thread can wait for them.
    fn open(self) -> io::Result<(Copied<Reader>, Copied<Writer>)> {
        Ok((reader(self.input)?, writer(self.output)?))
    }
}

/// Serves one client until it closes its side or the front stops. What it asked for before that is answered.
pub(crate) async fn serve(streams: Streams, server: Server, front: &Front) -> io::Result<()> {
    let ((input, _), (output, copied)) = streams.open()?;
    let transport = AsyncRwTransport::new_server(input, output);
    let over = CancellationToken::new();
    let started = tokio::select! {
        started = serve_server_with_ct(server, transport, over.clone()) => started,
        () = front.stop.cancelled() => return Ok(()),
    };
    match started {
        Ok(running) => {
            let mut gone = std::pin::pin!(running.waiting());
            let stopped = async {
                front.stop.cancelled().await;
                front.finish().await;
            };
            tokio::select! {
                _ = &mut gone => {}
                () = stopped => {
                    over.cancel();
                    let _ = gone.await;
                }
            }
        }
        // A client that never began is nothing to complain about.
        Err(ServerInitializeError::ConnectionClosed(_)) => {}
        Err(error) => return Err(io::Error::other(error.to_string())),
    }
    if let Some(copied) = copied {
        // What was written last is on its way through the thread.
        let _ = tokio::task::spawn_blocking(move || copied.join()).await;
    }
    Ok(())
}

fn reader(input: OwnedFd) -> io::Result<Copied<Reader>> {
    match kind(&input)? {
        FileType::Fifo if let Some(own) = reopened(&input, OFlags::RDONLY) => {
            Ok((Box::new(pipe::Receiver::from_owned_fd(own)?), None))
        }
        FileType::Socket => Ok((Box::new(socket(Socket::from(input))?), None)),
        _ => {
            let (ours, theirs) = Socket::pair()?;
            let copied = std::thread::spawn(move || copy(&mut File::from(input), &mut &theirs));
            Ok((Box::new(socket(ours)?), Some(copied)))
        }
    }
}

fn writer(output: OwnedFd) -> io::Result<Copied<Writer>> {
    match kind(&output)? {
        FileType::Fifo if let Some(own) = reopened(&output, OFlags::WRONLY) => {
            Ok((Box::new(pipe::Sender::from_owned_fd(own)?), None))
        }
        FileType::Socket => Ok((Box::new(socket(Socket::from(output))?), None)),
        _ => {
            let (ours, theirs) = Socket::pair()?;
            let copied = std::thread::spawn(move || copy(&mut &theirs, &mut File::from(output)));
            Ok((Box::new(socket(ours)?), Some(copied)))
        }
    }
}

fn kind(stream: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(stream)?.st_mode))
}

/// A pipe's end under a description of its own, so that it can be waited for without changing what others share. Of
/// somebody else's pipe, as behind `sudo`, there is none.
fn reopened(stream: &OwnedFd, how: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", stream.as_fd().as_raw_fd());
    open(path, how | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn socket(stream: Socket) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Copies until one side has gone.
fn copy(from: &mut impl io::Read, to: &mut impl io::Write) {
    let _ = io::copy(from, to);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn passes(streams: Streams, mut send: impl Write, mut receive: impl Read) {
        let ((mut input, _), (mut output, copied)) = streams.open().unwrap();
        send.write_all(b"ping\n").unwrap();
        let mut line = [0; 5];
        input.read_exact(&mut line).await.unwrap();
        output.write_all(&line).await.unwrap();
        output.flush().await.unwrap();
        drop(output);
        if let Some(copied) = copied {
            copied.join().unwrap();
        }
        let mut answer = [0; 5];
        receive.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping\n");
    }

    #[tokio::test]
    async fn pipes_and_sockets_pass() {
        let (input, send) = io::pipe().unwrap();
        let (receive, output) = io::pipe().unwrap();
        passes(Streams { input: input.into(), output: output.into() }, send, receive).await;
        let (ours, theirs) = Socket::pair().unwrap();
        let again = ours.try_clone().unwrap();
        let streams = Streams { input: ours.into(), output: again.into() };
        passes(streams, theirs.try_clone().unwrap(), theirs).await;
    }

    #[tokio::test]
    async fn files_are_copied_by_a_thread() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::write(&input, "ping\n").unwrap();
        let writer = File::create(&output).unwrap();
        let streams = Streams { input: File::open(&input).unwrap().into(), output: writer.into() };
        passes(streams, io::sink(), File::open(&output).unwrap()).await;
    }
}
