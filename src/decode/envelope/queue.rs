//! Messages of Pub/Sub, Kinesis, Firehose, SQS and SNS: the event as text, mostly in base64.

use super::context::Context;
use super::json::{self, Object};
use super::walk::Walk;

/// Opens a message, or the records of a Lambda event or Firehose request.
pub(super) fn open(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    for key in ["Records", "records", "Messages", "receivedMessages"] {
        if let Some(records) = object.get(key)
            && json::first(records)
                .and_then(Object::parse)
                .is_some_and(|first| name(&first).is_some() || key == "Records")
        {
            // The records name their queue themselves.
            walk.list(records, &context.list("records"));
            return true;
        }
    }
    let Some(name) = name(object) else {
        return false;
    };
    let inner = context.enter(name);
    match name {
        "Pub/Sub" => {
            let message = object.object("message").unwrap_or_default();
            packed(walk, &message.text("data"), &inner);
        }
        "Kinesis" => {
            let nested = object.object("kinesis");
            let data = nested.map_or_else(|| object.text("Data"), |nested| nested.text("data"));
            packed(walk, &data, &inner);
        }
        "Firehose" => packed(walk, &object.text("data"), &inner),
        "SQS" => {
            let body = object.get("body").or_else(|| object.get("Body"));
            walk.carried_value(body.unwrap_or_default(), &inner);
        }
        _ => {
            let nested = object.object("Sns");
            let message =
                nested.map_or_else(|| object.get("Message"), |nested| nested.get("Message"));
            walk.carried_value(message.unwrap_or_default(), &inner);
        }
    }
    true
}

fn name(object: &Object<'_>) -> Option<&'static str> {
    if object.object("message").is_some_and(|message| {
        message
            .get("data")
            .is_some_and(|data| data.starts_with('"'))
            && (message.has_any(&["messageId", "message_id", "attributes", "publishTime"])
                || object.has_any(&["subscription", "ackId"])
                || message.members().count() == 1)
    }) {
        return Some("Pub/Sub");
    }
    if object.get("kinesis").is_some() || object.has_all(&["Data", "SequenceNumber"]) {
        return Some("Kinesis");
    }
    if object.get("data").is_some_and(|data| data.starts_with('"'))
        && (object.get("recordId").is_some() || object.members().count() == 1)
    {
        return Some("Firehose");
    }
    if object.has_all(&["Sns"]) || object.has_all(&["Type", "TopicArn", "Message"]) {
        return Some("SNS");
    }
    let is_sqs = object.has_all(&["messageId", "body"]) || object.has_all(&["MessageId", "Body"]);
    is_sqs.then_some("SQS")
}

fn packed(walk: &mut Walk<'_>, data: &str, inner: &Context) {
    if !walk.packed(data, inner) {
        // Some clients decode the data already.
        walk.carried(data, inner);
    }
}
