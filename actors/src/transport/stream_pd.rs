//! Timestamp requests: one long-lived stream an address, answered in order. A request costs one small
//! message each way instead of a call of its own.
use super::channels::Channels;
use super::grpc::decode_answer;
use super::link::actor::LinkParts;
use super::port::TransportError;
use super::runtime::NetRuntime;
use super::wire::proto;
use futures::StreamExt;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use troupe_types::pd::PdResult;

type Reply = oneshot::Sender<Result<PdResult, TransportError>>;
type Asks = mpsc::UnboundedSender<(proto::PdCall, Reply)>;

/// The streams of a node. Cheap to clone.
#[derive(Clone)]
pub(super) struct TimestampStreams {
    runtime: NetRuntime,
    channels: Arc<Channels>,
    open: Arc<Mutex<BTreeMap<String, Asks>>>,
}

impl TimestampStreams {
    pub(super) fn new(parts: &LinkParts, channels: Arc<Channels>) -> Self {
        Self { runtime: parts.runtime.clone(), channels, open: Arc::default() }
    }

    /// Asks `address` on its stream, which is made if there is none.
    pub(super) fn call(
        &self,
        address: String,
        call: proto::PdCall,
    ) -> impl Future<Output = Result<PdResult, TransportError>> + Send + 'static {
        let asks = self.asks(&address);
        async move {
            let (reply, answer) = oneshot::channel();
            let gone = || TransportError::Broken { why: "the timestamp stream ended".to_owned() };
            asks.send((call, reply)).map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        }
    }

    fn asks(&self, address: &str) -> Asks {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asks) = open.get(address).filter(|asks| !asks.is_closed()) {
            return asks.clone();
        }
        let (asks, queue) = mpsc::unbounded_channel();
        open.insert(address.to_owned(), asks.clone());
        let (channels, address) = (self.channels.clone(), address.to_owned());
        self.runtime.handle().spawn(async move { run(&channels, &address, queue).await });
        asks
    }
}

/// Serves one stream until it breaks; whoever still waits then is told.
async fn run(
    channels: &Channels,
    address: &str,
    mut queue: mpsc::UnboundedReceiver<(proto::PdCall, Reply)>,
) {
    let fail_all = |queue: &mut mpsc::UnboundedReceiver<(proto::PdCall, Reply)>, error| {
        queue.close();
        while let Ok((_, reply)) = queue.try_recv() {
            let _ = reply.send(Err(TransportError::clone(&error)));
        }
    };
    let mut client = match channels.client(address).await {
        Ok(client) => client,
        Err(error) => return fail_all(&mut queue, error),
    };
    let (sender, frames) = mpsc::unbounded_channel();
    let mut answers = match client.timestamps(UnboundedReceiverStream::new(frames)).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return fail_all(&mut queue, channels.failed(address, &status)),
    };
    let mut waiting = std::collections::VecDeque::<Reply>::new();
    let error = loop {
        tokio::select! {
            ask = queue.recv() => {
                let Some((call, reply)) = ask else { return };
                waiting.push_back(reply);
                // Fails only when the stream has ended, which its answers tell.
                let _ = sender.send(call);
            }
            answer = answers.next() => match answer {
                Some(Ok(answer)) => {
                    if let Some(reply) = waiting.pop_front() {
                        let _ = reply.send(decode_answer(&answer.answer));
                    }
                }
                Some(Err(status)) => break channels.failed(address, &status),
                None => break TransportError::Broken { why: "the stream was ended".to_owned() },
            },
        }
    };
    for reply in waiting {
        let _ = reply.send(Err(error.clone()));
    }
    fail_all(&mut queue, error);
}
