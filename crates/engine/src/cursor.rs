//! Cursors of lists: opaque to clients, checked when they come back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use taskloom_store::{OrderBy, Position};
use uuid::Uuid;

use crate::EngineError;

/// Order, direction, the order's value, the id.
const BYTES: usize = 1 + 1 + 8 + 16;

/// Writes the place where a page ends.
pub(crate) fn write(order_by: OrderBy, descending: bool, position: Position) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.push(number(order_by));
    bytes.push(u8::from(descending));
    bytes.extend_from_slice(&position.value.to_be_bytes());
    bytes.extend_from_slice(position.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor that a list of the same order gave.
///
/// A made-up one can only point somewhere else in the caller's own list.
pub(crate) fn read(text: &str, order_by: OrderBy, descending: bool) -> Result<Position, EngineError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| EngineError::BadCursor)?;
    let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| EngineError::BadCursor)?;
    let (head, rest) = bytes.split_at(2);
    let (value, id) = rest.split_at(8);
    if head != [number(order_by), u8::from(descending)] {
        return Err(EngineError::BadCursor);
    }
    let value = value.try_into().map(i64::from_be_bytes).map_err(|_| EngineError::BadCursor)?;
    let id = Uuid::from_slice(id).map_err(|_| EngineError::BadCursor)?;
    Ok(Position { value, id })
}

fn number(order_by: OrderBy) -> u8 {
    match order_by {
        OrderBy::CreatedAt => 1,
        OrderBy::Priority => 2,
        OrderBy::CompletedAt => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        let position = Position { value: -7, id: Uuid::from_u128(9) };
        for order_by in OrderBy::ALL {
            let text = write(order_by, true, position);
            assert_eq!(read(&text, order_by, true).unwrap(), position);
            assert!(matches!(read(&text, order_by, false), Err(EngineError::BadCursor)));
        }
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let other = write(OrderBy::Priority, true, Position { value: 1, id: Uuid::nil() });
        for text in ["", "x", "AAAA", "%%%", &other, &"A".repeat(5_000)] {
            assert!(matches!(read(text, OrderBy::CreatedAt, true), Err(EngineError::BadCursor)), "{text}");
        }
    }
}
