// Counts the checks of one run of the suite: `count.mjs OUT server|client REVISION [SCENARIO...]`.
//
// Prints `passed failed passed failed warnings`, tab-separated: first of the required scenarios, then of the others that the
// suite runs too. Says on standard error what has failed. Fails if a required check has that expected-failures.yml does not
// name under this run, or if a scenario has not run, or if what is expected to fail has not.

import { existsSync, globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const [out, leg, revision, ...only] = process.argv.slice(2);
const installed = join(process.env.CONFORMANCE_HOME, "node_modules/@modelcontextprotocol/conformance");
const { parse } = createRequire(join(installed, "package.json"))("yaml");
const requirements = parse(readFileSync(join(installed, `requirements/${revision}.yaml`), "utf8"));
const required = new Set(requirements[leg].filter((name) => only.length === 0 || only.includes(name)));

const text = readFileSync(new URL("expected-failures.yml", import.meta.url), "utf8");
const expected = new Set(parse(text)?.[basename(out)] ?? []);
const met = new Set();

const counts = { required: { SUCCESS: 0, FAILURE: 0 }, other: { SUCCESS: 0, FAILURE: 0 }, warnings: 0 };
const seen = new Set();
const checked = new Set();
let unexpected = 0;
for (const file of existsSync(out) ? globSync("**/checks.json", { cwd: out }) : []) {
  const folder = file.replace(/[/\\]checks\.json$/, "").replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, "");
  const scenario = leg === "server" ? folder.replace(/^server-/, "") : folder;
  const kind = required.has(scenario) ? "required" : "other";
  seen.add(scenario);
  for (const check of JSON.parse(readFileSync(join(out, file), "utf8"))) {
    if (check.status !== "INFO") checked.add(scenario);
    if (check.status in counts[kind]) counts[kind][check.status] += 1;
    if (check.status === "WARNING") counts.warnings += 1;
    if (check.status !== "FAILURE" && check.status !== "WARNING") continue;
    const names = [scenario, `${scenario}:${check.id}`].filter((name) => expected.has(name));
    const isExpected = names.length > 0;
    names.forEach((name) => met.add(name));
    const weighs = check.status === "FAILURE" && kind === "required" && !isExpected;
    unexpected += weighs ? 1 : 0;
    const weight = weighs ? "FAILED" : check.status === "WARNING" ? "warning" : isExpected ? "expected" : "not required";
    console.error(`  ${weight}: ${scenario}:${check.id}: ${check.errorMessage ?? check.description ?? ""}`);
  }
}
for (const scenario of [...required, ...only].filter((name) => !seen.has(name))) {
  counts.required.FAILURE += 1;
  unexpected += 1;
  checked.add(scenario);
  seen.add(scenario);
  console.error(`  FAILED: ${scenario} has not run`);
}
for (const scenario of [...required].filter((name) => seen.has(name) && !checked.has(name))) {
  counts.required.FAILURE += 1;
  unexpected += 1;
  console.error(`  FAILED: ${scenario} has checked nothing`);
}
for (const name of [...expected].filter((name) => !met.has(name))) {
  unexpected += 1;
  console.error(`  FAILED: ${name} is expected to fail, and has not: remove it from expected-failures.yml`);
}
const { required: must, other, warnings } = counts;
console.log([must.SUCCESS, must.FAILURE, other.SUCCESS, other.FAILURE, warnings].join("\t"));
process.exitCode = unexpected > 0 ? 1 : 0;
