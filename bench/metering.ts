/** What metering costs: the same calls with each durability, against a gateway that records nothing. */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Figures {
  readonly rate: number
  readonly p50: number
  readonly errors: number
}

interface Started {
  readonly child: ChildProcess
  readonly url: string
}

/** What the bench has for all its tables. */
export interface Bench {
  readonly seconds: number
  /** A server of one JSON answer; its address. */
  startDownstream(this: void): Promise<string>
  startGateway(this: void, dir: string, config: object, nodeOptions?: readonly string[]): Promise<Started>
  stop(this: void, child: ChildProcess): Promise<void>
  /** Calls one tool for so many seconds. */
  call(this: void, url: string, connections: number, seconds: number): Promise<Figures>
  /** One call after another over one connection: milliseconds of each. */
  times(this: void, urls: readonly string[], rounds: number): Promise<readonly (readonly number[])[]>
  row(this: void, ...cells: readonly string[]): void
  readonly description: object
}

const turns = 8

export async function meteringTable(bench: Bench): Promise<void> {
  const { startGateway, stop, call, row, seconds } = bench
  const downstream = await bench.startDownstream()
  const ways = [
    { name: 'off', durability: 'group', options: ['--import', join(import.meta.dirname, 'unmetered.mjs')] },
    ...['async', 'group', 'sync'].map((durability) => ({ name: durability, durability, options: [] })),
  ]
  const started: (Started & { dir: string })[] = []
  for (const { durability, options } of ways) {
    const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
    mkdirSync(join(dir, 'specs'))
    writeFileSync(join(dir, 'specs/pets.json'), JSON.stringify(bench.description))
    const gateway = await startGateway(
      dir,
      {
        admin: { port: 0, tools: false },
        egress: { allow: [downstream] },
        targets: { pets: { server: `http://${downstream}` } },
        metering: { durability },
      },
      options,
    )
    started.push({ ...gateway, dir })
    await call(gateway.url, 8, 1)
  }
  const rates: Figures[][] = []
  // in turn, and each compared within its own turn, so that the machine's moods strike all alike
  for (let turn = 0; turn < turns; turn++) {
    const figures: Figures[] = []
    for (const { url } of started) figures.push(await call(url, 32, seconds / 2))
    rates.push(figures)
  }
  const times = await bench.times(
    started.map(({ url }) => url),
    Math.round(seconds * 400),
  )
  row(
    'tools/call, metering',
    'calls/s at 32 connections',
    `ratio, median of ${turns}`,
    'more than off at 1 connection, median ms',
  )
  row('---', '---', '---', '---')
  for (const [place, { name }] of ways.entries()) {
    const own = rates.map((turn) => turn[place]?.rate ?? 0)
    const ratios = rates.map((turn) => (turn[place]?.rate ?? 0) / (turn[0]?.rate ?? 0))
    const more = (times[place] ?? []).map((ms, round) => ms - (times[0]?.[round] ?? 0))
    row(name, median(own).toFixed(0), median(ratios).toFixed(2), median(more).toFixed(3))
  }
  process.stdout.write('\n')
  for (const { child, dir } of started) {
    await stop(child)
    rmSync(dir, { recursive: true })
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] ?? 0) + (sorted[Math.floor(half)] ?? 0)) / 2
}
