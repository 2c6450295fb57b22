// Numbers and the words of verdicts as bench/report/cells.py, bench/results/reading.py and bench/results/verdict.py
// write them, for numbers that a reader changed. tests/e2e/test_edited_page.py holds the two against each other.
"use strict";
const words = (() => {
  const EQUAL = 0.02;
  const ACROSS = "an interval reaches across the target";
  const missing = "cannot tell: a number is missing";
  const grouped = (whole) => whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");

  const threeDigits = (value) => {
    if (value === 0) return "0";
    const rounded = Math.abs(value) < 1000 ? Number(value.toPrecision(3)) : value;
    const size = Math.abs(rounded);
    if (size >= 1000) return grouped(rounded.toFixed(0));
    if (size >= 100) return rounded.toFixed(0);
    if (size >= 10) return rounded.toFixed(1);
    if (size >= 1) return rounded.toFixed(2);
    if (size >= 0.001) return String(rounded);
    return rounded.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  };
  const number = (value, unit) => {
    if (!Number.isFinite(value)) return "-";
    if (unit === "share") return `${(value * 100).toFixed(value * 100 < 10 ? 1 : 0)}%`;
    if (unit === "x") return `${value > 0 && value < 0.1 ? threeDigits(value) : grouped(value.toFixed(2))}x`;
    if (unit === "1" && Number.isInteger(value)) return grouped(value.toFixed(0));
    return threeDigits(value) + (unit && unit !== "1" ? ` ${unit}` : "");
  };
  const interval = (ends, unit) => [...new Set(ends.map((end) => number(end, unit)))].join(" to ");

  // Which side is better beyond doubt, 0 or 1; null where neither is.
  const better = (ends, higher) => {
    if (!ends || !(ends[0] > 1 + EQUAL || ends[1] < 1 - EQUAL)) return null;
    return (ends[0] > 1) === higher ? 0 : 1;
  };
  // Whether the better side is one that may not keep the target at all.
  const late = (verdict, side) => side !== null && verdict.late.includes([verdict.a, verdict.b][side]);
  const within = (ends) => ends && ends[0] >= 1 - EQUAL && ends[1] <= 1 + EQUAL;
  const reading = (verdict) => {
    const { ratio, ends, higher, front, doubt } = verdict;
    if (!Number.isFinite(ratio)) return missing;
    // A verdict that is none says what was estimated, and not what did not settle.
    const unsure = front.startsWith("estimated") ? "estimated: " : "";
    if (doubt) return `${unsure}cannot tell: ${doubt}`;
    if (!ends) return `${unsure}cannot tell: ${verdict.without}`;
    const side = better(ends, higher);
    if (late(verdict, side)) return `${unsure}cannot tell: ${ACROSS}`;
    if (side !== null) return `${front}${[verdict.a, verdict.b][side]} better by ${number(ratio > 1 ? ratio : 1 / ratio, "x")}`;
    return within(ends) ? `${front}equal within 2%` : `${unsure}cannot tell apart`;
  };
  const none = (of) => `no price of ${of} makes both equal`;
  const equal = ({ of, way, per, unit, value, ends }) => value > 0
    ? `equal if ${of} is ${way} at ${number(value, unit)} a ${per}${ends ? ` (${interval(ends, unit)})` : ""}` : none(of);
  const sentence = (verdict) => {
    if (verdict.equal) return `estimated: ${equal(verdict.equal)}: ${verdict.what}`;
    if (!Number.isFinite(verdict.ratio)) return `${missing}: ${verdict.what}`;
    const spread = verdict.ends ? `, ${interval(verdict.ends, "x")}` : "";
    return `${reading(verdict)} (ratio ${verdict.doubt ? "?" : ""}${number(verdict.ratio, "x")}${spread}): ${verdict.what}`;
  };

  const range = (prices) => {
    const [low, high] = [Math.min, Math.max].map((end) => threeDigits(end(...prices.map((each) => each.value))));
    return `${prices[0].way} at ${low === high ? low : `${low} to ${high}`} ${prices[0].unit} a ${prices[0].per}`;
  };
  const equalPrices = (verdicts) => {
    const first = verdicts[0];
    const sought = verdicts.map((each) => each.equal).filter((each) => each.of === first.equal.of && each.value > 0);
    if (!sought.length) return `${first.why}; estimated: ${none(first.equal.of)}`;
    const ways = [...new Set(sought.map((each) => each.way))];
    const told = ways.map((way) => range(sought.filter((each) => each.way === way))).join(" or ");
    const other = first.equal.of === first.a ? first.b : first.a;
    const spread = sought.length > ways.length ? ", by case or target" : "";
    return `${first.why}; estimated: its tokens cost the same as on ${other} if it is ${told}${spread}`;
  };
  // What an answer says of price, as bench/results/answer.py has it.
  const upTo = (prices) => {
    const [first, ends] = [prices[0], prices.length > 1 ? null : prices[0].ends];
    const [low, high] = [Math.min, Math.max].map((end) => threeDigits(end(...prices.map((each) => each.value))));
    const span = low === high ? low : `${low} to ${high}`;
    return `${first.way === "bought" ? "buying" : "renting"} up to about ${span} ${first.unit} a ${first.per}${ends ? ` (${[...new Set(ends.map(threeDigits))].join(" to ")})` : ""}`;
  };
  const worth = (verdicts) => {
    const sure = verdicts.filter((each) => !each.doubt);
    const equal = sure.filter((each) => each.equal).map((each) => each.equal);
    if (!equal.length) return sure.length ? `on price, ${summary(sure, "")}` : "";
    const own = equal.filter((each) => each.of === equal[0].of && each.value > 0);
    if (!own.length) return none(equal[0].of);
    const ways = [...new Set(own.map((each) => each.way))];
    return `${own[0].of} is worth ${ways.map((way) => upTo(own.filter((each) => each.way === way))).join(" or ")}`;
  };
  // The fleet that costs least a day, as bench/measure/fleet.py says it.
  const cheapest = ({ head, tail, fleets }) => {
    const known = fleets.filter((each) => Number.isFinite(each.value));
    if (!known.length) return `${head}no fleet has a cost.`;
    const best = known.reduce((least, each) => (each.value < least.value ? each : least));
    const amount = `${threeDigits(best.value)} ${best.currency} a day`;
    if (known.length === 1) return `${head}only ${best.label} has a cost, ${best.front}${amount}${tail}`;
    if (best.open) return `${head}${best.front}${best.label}, ${amount}; cannot be told apart from any other: by its interval it may be late, however many there are${tail}`;
    const top = (best.ends || [0, best.value])[1];
    const near = known.filter((each) => each !== best && (each.ends || [each.value])[0] <= top).map((each) => each.label);
    const apart = near.length ? `; cannot be told apart from: ${near.join(" | ")}` : "";
    return `${head}${best.front}${best.label}, ${amount}${apart}${tail}`;
  };
  // An axis in one sentence. leftOut: what Python says of the readings in doubt, which no price changes.
  const summary = (verdicts, leftOut) => {
    const read = verdicts.filter((each) => !each.equal && !each.doubt);
    if (!read.length) return verdicts.some((each) => each.doubt) ? null : equalPrices(verdicts);
    const tail = leftOut ? `; ${leftOut}` : "";
    const [n, first] = [read.length, read[0]];
    if (n === 1) return reading(first) + tail;
    if (!read.every((each) => Number.isFinite(each.ratio))) return missing + tail;
    const sides = read.map((each) => { const side = better(each.ends, each.higher); return late(each, side) ? null : side; });
    const [a, b] = [0, 1].map((side) => sides.filter((each) => each === side).length);
    const front = read.some((each) => each.unstable) ? "estimated: unstable: " : "estimated: ";
    if (a && b) return `${front}depends: ${first.a} better on ${a}, ${first.b} on ${b} of ${n} readings${tail}`;
    if (a || b) {
      const rest = n - (a || b);
      return `${front}${a ? first.a : first.b} better on ${a || b} of ${n} readings${rest ? `, cannot tell or equal on ${rest}` : ""}${tail}`;
    }
    if (read.every((each) => within(each.ends))) return `${front}equal within 2% on all ${n} readings${tail}`;
    if (read.every((each) => !each.ends)) {
      const without = new Set(read.map((each) => each.without));
      return `estimated: cannot tell: ${without.size === 1 ? first.without : "no interval"} on ${n} readings${tail}`;
    }
    return `estimated: cannot tell apart on ${n} readings${tail}`;
  };
  return { threeDigits, number, interval, better, reading, sentence, summary, worth, cheapest };
})();
