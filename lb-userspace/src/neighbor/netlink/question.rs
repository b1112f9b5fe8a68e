//! Questions over a netlink socket, and which answers are whole.

use std::{io, time::Duration};

use futures::StreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};

use super::{Netlink, no_answer};
use crate::neighbor::NeighborError;

/// How long the kernel may take for one answer. It answers at once; this is for the case that an answer was
/// lost or could not be read.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// So often a list is asked for that changes while it is read.
const ATTEMPTS: u32 = 10;

type Message = NetlinkMessage<RouteNetlinkMessage>;

impl Netlink {
    /// All that there is of something, as of one moment as far as the kernel says so: not of neighbours, some of
    /// which may be missed while others come and go.
    pub(super) async fn list(
        &self,
        action: &str,
        question: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NeighborError> {
        for _ in 0..ATTEMPTS {
            let question = question.clone();
            let messages = self.ask(action, question, NLM_F_REQUEST | NLM_F_DUMP);
            if let Some(list) = whole_list(action, messages.await?)? {
                return Ok(list);
            }
        }
        let why = "what there is changes faster than it can be listed";
        Err(no_answer(action, why))
    }

    /// The answer to a question about one thing.
    pub(super) async fn one(
        &self,
        action: &str,
        question: RouteNetlinkMessage,
    ) -> Result<RouteNetlinkMessage, NeighborError> {
        let messages = self.ask(action, question, NLM_F_REQUEST).await?;
        let message = messages.into_iter().next();
        match message.map(|message| message.payload) {
            Some(NetlinkPayload::InnerMessage(answer)) => Ok(answer),
            Some(other) => Err(not_an_answer(action, &other)),
            None => Err(no_answer(action, CLOSED)),
        }
    }

    async fn ask(
        &self,
        action: &str,
        question: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<Message>, NeighborError> {
        let mut request = NetlinkMessage::from(question);
        request.header.flags = flags;
        let answer = self.handle.clone().request(request);
        let answer = answer.map_err(|error| no_answer(action, error))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer.collect());
        let why = || no_answer(action, format!("no answer within {ANSWER_TIMEOUT:?}"));
        answer.await.map_err(|_| why())
    }
}

/// How an answer ends whose socket has failed: like one that has no more to say.
const CLOSED: &str = "the socket was closed before the end of the answer";

/// What a list holds; `None` if it changed while it was read, so that something may be missing.
///
/// # Errors
/// The kernel refused, or the list has no end.
pub(super) fn whole_list(
    action: &str,
    messages: Vec<Message>,
) -> Result<Option<Vec<RouteNetlinkMessage>>, NeighborError> {
    let mut list = Vec::with_capacity(messages.len());
    let mut has_end = false;
    let mut is_interrupted = false;
    for message in messages {
        is_interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        if let NetlinkPayload::InnerMessage(element) = message.payload {
            list.push(element);
        } else if matches!(&message.payload, NetlinkPayload::Done(done) if done.code == 0) {
            has_end = true;
        } else {
            return Err(not_an_answer(action, &message.payload));
        }
    }
    if !has_end {
        return Err(no_answer(action, CLOSED));
    }
    Ok((!is_interrupted).then_some(list))
}

/// What came in the place of an answer.
fn not_an_answer(action: &str, payload: &NetlinkPayload<RouteNetlinkMessage>) -> NeighborError {
    let source = if let NetlinkPayload::Error(error) = payload {
        error.to_io()
    } else if let NetlinkPayload::Done(done) = payload {
        io::Error::from_raw_os_error(done.code.saturating_neg())
    } else {
        return no_answer(action, format!("the answer makes no sense: {payload:?}"));
    };
    let action = action.to_owned();
    NeighborError::Refused { action, source }
}
