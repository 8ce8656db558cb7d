//! The HTTP server of a node: its own threads, started and stopped as one.
use crate::gate::gate;
use crate::routes;
use crate::state::{HttpParts, HttpState};
use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, middleware, web};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Seconds that requests in flight have to end when the server stops.
const STOP_SECONDS: u64 = 10;
/// A client that was told to go has so long to close its connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A running server. Dropping it leaves the server running: stop it.
pub struct HttpServer {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
    state: Arc<HttpState>,
}

impl HttpServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its handlers share.
    #[must_use]
    pub fn state(&self) -> &Arc<HttpState> {
        &self.state
    }

    /// Stops to listen and waits until requests in flight have ended (`graceful`), or does not.
    pub async fn stop(mut self, graceful: bool) {
        self.handle.stop(graceful).await;
        if let Some(thread) = self.thread.take() {
            // The server has ended: its thread does nothing more but return.
            let _ = thread.join();
        }
    }
}

/// Starts a server on `listener`, on a thread of its own.
///
/// # Errors
/// The listener or a thread cannot be used.
pub fn start(listener: TcpListener, parts: HttpParts) -> io::Result<HttpServer> {
    let address = listener.local_addr()?;
    let state = HttpState::new(parts).map_err(io::Error::other)?;
    let (sender, receiver) = mpsc::channel();
    let shared = state.clone();
    let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = match build(listener, shared) {
                Ok(server) => server,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return Ok(());
                }
            };
            let _ = sender.send(Ok(server.handle()));
            server.await
        })
    })?;
    let handle = receiver.recv().map_err(io::Error::other)??;
    Ok(HttpServer { address, handle, thread: Some(thread), state })
}

fn build(listener: TcpListener, state: Arc<HttpState>) -> io::Result<actix_web::dev::Server> {
    let http = state.parts.config.http.clone();
    let server = actix_web::HttpServer::new(move || app(state.clone()))
        .workers(http.workers)
        .backlog(BACKLOG)
        .max_connections(http.max_connections)
        .keep_alive(http.keep_alive)
        .client_request_timeout(http.header_timeout)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// The application: all routes behind the gate. Tests drive it without a socket.
pub fn app(
    state: Arc<HttpState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::from(state))
        .configure(routes::configure)
        .wrap(middleware::from_fn(gate))
}
