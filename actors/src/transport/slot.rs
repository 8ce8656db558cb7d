//! Where the mailbox of an actor that may be restarted is found.
use crate::cell::{Acts, Mailbox};
use std::time::Duration;
use tokio::sync::watch;

/// The mailbox of the present life, if there is one. Cheap to clone.
pub(crate) struct MailboxSlot<A: Acts>(watch::Sender<Option<Mailbox<A>>>);

impl<A: Acts> Clone for MailboxSlot<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Acts> MailboxSlot<A> {
    /// Without a life.
    pub(crate) fn empty() -> Self {
        Self(watch::Sender::new(None))
    }

    /// A life has begun.
    pub(crate) fn install(&self, mailbox: &Mailbox<A>) {
        self.0.send_replace(Some(mailbox.clone()));
    }

    /// The life has ended.
    pub(crate) fn clear(&self) {
        self.0.send_replace(None);
    }

    /// The mailbox now.
    pub(crate) fn get(&self) -> Option<Mailbox<A>> {
        self.0.borrow().clone()
    }

    /// The mailbox, waiting a moment for a first or next life.
    pub(crate) async fn wait(&self, env: &crate::env::Env) -> Option<Mailbox<A>> {
        if let Some(mailbox) = self.get() {
            return Some(mailbox);
        }
        let mut changes = self.0.subscribe();
        let some = async move {
            let found = changes.wait_for(Option::is_some).await;
            found.ok().and_then(|mailbox| mailbox.clone())
        };
        let patience = env.spawner.sleep(Duration::from_millis(250));
        tokio::select! {
            biased;
            mailbox = some => mailbox,
            () = patience => None,
        }
    }
}
