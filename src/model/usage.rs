//! What calls use up, and how much of it they may.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The `_meta` key of a result that says what it has used up.
pub const USAGE_KEY: &str = "io.mcp-orchestrator/usage";

/// An amount of money, in billionths of whatever the prices are in: small enough for the price of one token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u64);

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So much; what is negative or no number is nothing.
    pub fn of(amount: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        Self((amount * 1e9).round() as u64)
    }

    /// So many tokens at this price for a million of them.
    pub fn of_tokens(tokens: u64, price: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no answer has 2^52 tokens")]
        Self::of(tokens as f64 * price / 1e6)
    }

    /// How many tokens it pays for at this price for a million of them.
    pub fn tokens_at(self, price: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
        let tokens = (self.amount() * 1e6 / price) as u64;
        tokens
    }

    /// The amount.
    pub fn amount(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "amounts are shown, not summed up, in this form")]
        let amount = self.0 as f64 / 1e9;
        amount
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.amount());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.amount())
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::of)
    }
}

/// What something has used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens in and out.
    pub tokens: u64,
    /// Those that models were given.
    pub input_tokens: u64,
    /// Those that models gave.
    pub output_tokens: u64,
    /// What it costs at the prices of the registry.
    pub cost: Cost,
    /// Calls of tools and of models.
    pub calls: u64,
}

impl Usage {
    /// One call that used nothing that is counted.
    pub const CALL: Self = Self { tokens: 0, input_tokens: 0, output_tokens: 0, cost: Cost::ZERO, calls: 1 };

    /// One call of a model.
    pub fn of_model(input: u64, output: u64, cost: Cost) -> Self {
        Self { tokens: input.saturating_add(output), input_tokens: input, output_tokens: output, cost, calls: 1 }
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost: self.cost.plus(other.cost),
            calls: self.calls.saturating_add(other.calls),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens, cost {}, {} calls", self.tokens, self.cost, self.calls)
    }
}

/// How much something may use up; `None` is without bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// Tokens in and out.
    pub tokens: Option<u64>,
    /// Money, at the prices of the registry.
    pub cost: Option<Cost>,
    /// Calls of tools and of models.
    pub calls: Option<u64>,
}

impl Allowance {
    /// The smaller of the two in each respect.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tokens: least(self.tokens, other.tokens),
            cost: least(self.cost, other.cost),
            calls: least(self.calls, other.calls),
        }
    }

    /// What is left of it after `used`.
    #[must_use]
    pub fn less(self, used: Usage) -> Self {
        Self {
            tokens: self.tokens.map(|all| all.saturating_sub(used.tokens)),
            cost: self.cost.map(|all| all.minus(used.cost)),
            calls: self.calls.map(|all| all.saturating_sub(used.calls)),
        }
    }

    /// Of what nothing is left, in words.
    pub fn spent(self) -> Option<&'static str> {
        let spent = [
            ("tokens", self.tokens == Some(0)),
            ("cost", self.cost == Some(Cost::ZERO)),
            ("calls", self.calls == Some(0)),
        ];
        spent.into_iter().find_map(|(what, is_spent)| is_spent.then_some(what))
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_down_to_a_token() {
        assert_eq!(Cost::of_tokens(1, 0.15), Cost(150));
        assert_eq!(Cost::of_tokens(1_000, 3.0).to_string(), "0.003");
        assert_eq!(Cost::of(-1.0), Cost::ZERO);
        assert_eq!(Cost::of(f64::NAN), Cost::ZERO);
        let usage = Usage::of_model(10, 5, Cost::of(0.25));
        let stored = serde_json::to_string(&usage).expect("JSON");
        assert_eq!(serde_json::from_str::<Usage>(&stored).expect("usage"), usage);
    }

    #[test]
    fn an_allowance_only_shrinks() {
        let all = Allowance { tokens: Some(100), ..Allowance::default() };
        let used = Usage::of_model(60, 50, Cost::of(1.0));
        assert_eq!(all.spent(), None);
        assert_eq!(all.less(used).spent(), Some("tokens"));
        let both = all.and(Allowance { tokens: Some(7), calls: Some(1), cost: None });
        assert_eq!(both, Allowance { tokens: Some(7), calls: Some(1), cost: None });
        assert_eq!(Allowance::default().less(used), Allowance::default());
    }
}
