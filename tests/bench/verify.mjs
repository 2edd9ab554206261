// Verifications within wasm, in turns with a bare HMAC: node verify.mjs MODULE SIZE TURNS CALLS NAME...
// Prints `NAME OURS BARE SHARE`: µs of one call, and the median of the shares of the turns.
import { readFile } from 'node:fs/promises'

const [file, size, turns, calls, ...names] = process.argv.slice(2)
const { instance } = await WebAssembly.instantiate(await readFile(file))
const { prepare, ours, bare_hmac: bare } = instance.exports

const microseconds = run => {
  const began = performance.now()
  if (!run(Number(calls))) throw new Error('a signature of the bench is not believed')
  return ((performance.now() - began) * 1000) / Number(calls)
}
const median = values => values.sort((one, other) => one - other)[values.length >> 1]

for (const [number, name] of names.entries()) {
  if (!prepare(number, Number(size))) throw new Error(`there is no case ${name}`)
  // V8 compiles twice: quickly first, and well once a function has run for a while.
  for (const until = performance.now() + 300; performance.now() < until; ) (microseconds(ours), microseconds(bare))
  const both = Array.from({ length: Number(turns) }, () => [microseconds(bare), microseconds(ours)])
  const of = figure => median(both.map(figure))
  console.log(name, of(([, ours]) => ours), of(([bare]) => bare), of(([bare, ours]) => ours / bare))
}
