//! What happens, on its way from the core to all subscribers: nobody who reads slowly holds it up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::broadcast::{self, error::RecvError};

use super::protocol::{Event, EventsSubscribe, Happening};

/// So many events are kept for subscribers that are behind: more than a change of everything makes at once.
const QUEUE: usize = 1_024;

/// Where events are told, and where one subscribes to them.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The number of the last event. Held while an event is given out, so that numbers and queue agree.
    sequence: Mutex<u64>,
    queue: broadcast::Sender<Arc<Event>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self::with_queue(QUEUE)
    }
}

impl Feed {
    /// A feed that keeps `length` events for those that are behind.
    fn with_queue(length: usize) -> Self {
        Self(Arc::new(Shared {
            sequence: Mutex::new(0),
            queue: broadcast::Sender::new(length),
        }))
    }

    /// Tells all subscribers of `what`, now. Does not wait for them: who is too far behind loses events.
    pub fn tell(&self, what: Happening) {
        let mut sequence = self.sequence();
        *sequence += 1;
        let event = Event {
            sequence: *sequence,
            time_ms: now_ms(),
            what,
        };
        // An error means that nobody has subscribed.
        let _ = self.0.queue.send(Arc::new(event));
    }

    /// All that is told from now on, as far as it is wanted.
    #[must_use]
    pub fn subscribe(&self, wanted: EventsSubscribe) -> Subscription {
        let sequence = self.sequence();
        Subscription {
            wanted,
            sequence: *sequence,
            queue: self.0.queue.subscribe(),
        }
    }

    fn sequence(&self) -> std::sync::MutexGuard<'_, u64> {
        let sequence = self.0.sequence.lock();
        // A number is whole, whoever panicked.
        sequence.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one subscriber is still to be told.
#[derive(Debug)]
pub struct Subscription {
    wanted: EventsSubscribe,
    /// The number of the last event that was taken from the queue or lost.
    sequence: u64,
    queue: broadcast::Receiver<Arc<Event>>,
}

impl Subscription {
    /// The number of the last event that was taken, lost, or told before the subscription.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next event that is wanted; [`Happening::Lost`] in place of those that came too fast. `None` when no more
    /// can come. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            let event = match self.queue.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(count)) => Arc::new(Event {
                    sequence: self.sequence + count,
                    time_ms: now_ms(),
                    what: Happening::Lost { count },
                }),
                Err(RecvError::Closed) => return None,
            };
            self.sequence = event.sequence;
            if self.wanted.wants(&event.what) {
                return Some(event);
            }
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::EventKind;

    fn published(generation: u32) -> Happening {
        Happening::Publication {
            generation,
            steps: 1,
            reaction_us: None,
        }
    }

    fn failed(what: &str) -> Happening {
        Happening::Error {
            what: what.to_owned(),
            retry_ms: None,
            recovered: false,
        }
    }

    #[tokio::test]
    async fn a_subscriber_gets_what_is_told_after_it_came_in_order_and_numbered() {
        let feed = Feed::default();
        feed.tell(published(1));
        let mut subscription = feed.subscribe(EventsSubscribe::default());
        assert_eq!(subscription.sequence(), 1);
        feed.tell(published(2));
        feed.tell(failed("it"));
        for (sequence, what) in [(2, published(2)), (3, failed("it"))] {
            let event = subscription.next().await.unwrap();
            assert_eq!((event.sequence, &event.what), (sequence, &what));
            assert!(event.time_ms > 1_700_000_000_000, "{event:?}");
        }
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_was_lost_and_goes_on_with_the_oldest_that_is_left() {
        let feed = Feed::with_queue(4);
        let errors_only = EventsSubscribe {
            kinds: Some(vec![EventKind::Error]),
            ..EventsSubscribe::default()
        };
        let mut slow = feed.subscribe(errors_only);
        for generation in 1..=9 {
            feed.tell(published(generation));
        }
        feed.tell(failed("it"));
        let lost = slow.next().await.unwrap();
        assert_eq!(
            (lost.sequence, &lost.what),
            (6, &Happening::Lost { count: 6 })
        );
        let next = slow.next().await.unwrap();
        assert_eq!((next.sequence, &next.what), (10, &failed("it")));
    }
}
