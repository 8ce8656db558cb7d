//! The network between the nodes: a proxy in front of each node, which tells by the address that a
//! connection comes from which node dials, and stops or delays the bytes of each direction by itself.
//!
//! A cut is silent: bytes wait, as behind a network that loses packets, and come late when it heals.
//! [`Links::reset`] also breaks the connections, as a node behind the cut might see it.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How bytes from one node to another fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They arrive.
    #[default]
    Open,
    /// They wait.
    Cut,
    /// They arrive so much later.
    Slow(Duration),
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    flow: Flow,
    /// Counts up when connections over this link are to break.
    resets: u64,
}

/// All links of a cluster. Nodes are numbered from 0.
pub struct Links {
    nodes: usize,
    links: Vec<watch::Sender<Link>>,
}

/// The address that connections of `node` come from.
#[must_use]
pub fn source_address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + u8::try_from(node).unwrap())
}

impl Links {
    /// Open links between `nodes` nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Arc<Self> {
        let links = (0..nodes * nodes).map(|_| watch::Sender::new(Link::default())).collect();
        Arc::new(Self { nodes, links })
    }

    fn link(&self, from: usize, to: usize) -> &watch::Sender<Link> {
        &self.links[from * self.nodes + to]
    }

    /// Changes how bytes from `from` to `to` fare.
    pub fn set(&self, from: usize, to: usize, flow: Flow) {
        self.link(from, to).send_modify(|link| link.flow = flow);
    }

    /// Breaks all connections that carry bytes from `from` to `to`.
    pub fn reset(&self, from: usize, to: usize) {
        self.link(from, to).send_modify(|link| link.resets += 1);
    }

    /// Opens all links.
    pub fn heal(&self) {
        for link in &self.links {
            link.send_modify(|link| link.flow = Flow::Open);
        }
    }

    /// Carries what comes to `listener` to `node`, which listens at `address`.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, node: usize, address: SocketAddr) {
        loop {
            // Without a descriptor left, connections wait in the listener's queue.
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let from = (0..self.nodes).find(|node| peer.ip() == source_address(*node));
            let from = from.unwrap_or_else(|| panic!("{peer} is no node: is the library loaded?"));
            tokio::spawn(self.clone().carry(stream, (from, node), address));
        }
    }

    async fn carry(
        self: Arc<Self>,
        dialler: TcpStream,
        (from, to): (usize, usize),
        address: SocketAddr,
    ) {
        let (there, back) = (self.link(from, to).subscribe(), self.link(to, from).subscribe());
        let Ok(node) = TcpStream::connect(address).await else { return };
        let _ = (dialler.set_nodelay(true), node.set_nodelay(true));
        let (dialler_reads, dialler_writes) = dialler.into_split();
        let (node_reads, node_writes) = node.into_split();
        // Whichever direction ends, the connection is over for both.
        tokio::select! {
            () = pump(dialler_reads, node_writes, there) => {}
            () = pump(node_reads, dialler_writes, back) => {}
        }
    }
}

/// Carries bytes until a side closes or the link is reset.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut link: watch::Receiver<Link>) {
    let resets = link.borrow().resets;
    let mut broken = link.clone();
    let carry = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
            let Ok(flow) = link.wait_for(|link| link.flow != Flow::Cut).await.map(|l| l.flow)
            else {
                return;
            };
            if let Flow::Slow(delay) = flow {
                tokio::time::sleep(delay).await;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = carry => {}
        _ = broken.wait_for(|link| link.resets != resets) => {}
    }
}
