//! The listener against clients that speak TCP only.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use super::*;
use crate::stop;

/// Answers with the length of the body, once the test lets it.
struct Lengths {
    bodies: Bodies,
    arrived: mpsc::UnboundedSender<()>,
    released: Semaphore,
}

impl Handler for Lengths {
    async fn handle(&self, _: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let body = self.bodies.read(request.into_body()).await;
        self.arrived.send(()).unwrap();
        self.released.acquire().await.unwrap().forget();
        let (status, text) = match body {
            Ok(body) => (200, body.bytes.len().to_string()),
            Err(BodyError::TooLarge) => (413, String::new()),
            Err(BodyError::Incomplete) => (408, String::new()),
            Err(BodyError::NoRoom) => (503, String::new()),
        };
        Response::builder().status(status).body(Full::from(text)).unwrap()
    }
}

struct Running {
    address: SocketAddr,
    handler: Arc<Lengths>,
    arrived: mpsc::UnboundedReceiver<()>,
    stopper: stop::Stopper,
    served: tokio::task::JoinHandle<()>,
}

/// Long enough that no test waits for it.
const NEVER: Duration = Duration::from_secs(600);

fn limits() -> Limits {
    Limits { head_within: NEVER, body_within: NEVER, head_bytes_max: 8192, ..Limits::default() }
}

async fn start(limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, arrived) = mpsc::unbounded_channel();
    let released = Semaphore::new(0);
    let handler = Arc::new(Lengths { bodies: Bodies::new(limits), arrived: sender, released });
    let (stopper, stop) = stop::pair();
    let served =
        tokio::spawn(serve(listener, Arc::clone(&handler), limits, Count::default(), stop));
    Running { address, handler, arrived, stopper, served }
}

impl Running {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// The status that a client gets, or 0 if it is hung up on.
    async fn ask(&self, text: &str) -> u16 {
        status(self.send(text).await).await
    }

    fn release(&self, requests: usize) {
        self.handler.released.add_permits(requests);
    }

    async fn stop(self) {
        self.stopper.stop();
        self.served.await.unwrap();
    }
}

async fn status(mut stream: TcpStream) -> u16 {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(_) => return 0,
        }
    }
    String::from_utf8(line).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn post(length: usize, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_body_is_refused_one_past_its_limit_announced_or_not() {
    let running = start(Limits { body_bytes_max: 8, ..limits() }).await;
    running.release(4);
    assert_eq!(running.ask(&post(8, "12345678")).await, 200);
    // Not one byte of it was sent.
    assert_eq!(running.ask(&post(9, "")).await, 413);
    let chunked = |body| {
        let head = "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}4\r\n1234\r\n{body}0\r\n\r\n")
    };
    assert_eq!(running.ask(&chunked("4\r\n5678\r\n")).await, 200);
    assert_eq!(running.ask(&chunked("5\r\n56789\r\n")).await, 413);
    running.stop().await;
}

#[tokio::test]
async fn headers_are_refused_at_their_limit() {
    let running = start(limits()).await;
    running.release(1);
    let (head, end) = ("POST / HTTP/1.1\r\nhost: h\r\nx: ", "\r\n\r\n");
    let filler = |bytes: usize| "a".repeat(bytes - head.len());
    let fits = format!("{head}{}{end}", filler(8192 - end.len()));
    assert_eq!((fits.len(), running.ask(&fits).await), (8192, 200));
    assert_eq!(running.ask(&format!("{head}{}", filler(8192))).await, 431);
    running.stop().await;
}

#[tokio::test]
async fn who_sends_headers_too_slowly_is_hung_up_on() {
    let running = start(Limits { head_within: Duration::from_millis(20), ..limits() }).await;
    for head in ["", "POST / HTTP/1.1\r\nhost: h\r\nx: "] {
        let status = running.ask(head).await;
        assert!([0, 408].contains(&status), "{status}");
    }
    running.stop().await;
}

#[tokio::test]
async fn who_sends_a_body_too_slowly_is_told() {
    let running = start(Limits { body_within: Duration::from_millis(20), ..limits() }).await;
    running.release(1);
    assert_eq!(running.ask(&post(2, "1")).await, 408);
    running.stop().await;
}

#[tokio::test]
async fn all_bodies_together_have_a_limit_until_they_are_answered() {
    let mut running = start(Limits { bodies_bytes_max: 8, ..limits() }).await;
    let first = running.send(&post(8, "12345678")).await;
    running.arrived.recv().await.unwrap();
    let second = running.send(&post(1, "1")).await;
    running.arrived.recv().await.unwrap();
    running.release(2);
    assert_eq!((status(first).await, status(second).await), (200, 503));
    running.release(1);
    // What is only announced takes up no room.
    let _announced = running.send(&post(8, "")).await;
    assert_eq!(running.ask(&post(8, "12345678")).await, 200);
    drop(_announced);
    running.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_others_to_end() {
    const CLIENTS: usize = 6;
    let mut running = start(Limits { connections_max: 2, ..limits() }).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(status(running.send(&post(0, "")).await));
    }
    for answered in 0..CLIENTS {
        if answered == 0 {
            running.arrived.recv().await.unwrap();
        }
        running.arrived.recv().await.unwrap();
        // As many as are allowed are under way, and none beyond.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(running.arrived.try_recv().is_err());
        running.release(1);
        assert_eq!(clients.join_next().await.unwrap().unwrap(), 200);
        if answered == CLIENTS - 2 {
            break;
        }
    }
    running.release(1);
    assert_eq!(clients.join_next().await.unwrap().unwrap(), 200);
    running.stop().await;
}
