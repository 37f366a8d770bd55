/** A call of a Lambda function through the gateway against AWS’s own client straight to the same function, as ratios. */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'
import { hasEmulator, startLambdaEmulator, whyNot } from '../test/support/lambda-emulator.ts'

/** What the bench has for all its tables. */
export interface Bench {
  readonly seconds: number
  startGateway(dir: string, config: object): Promise<{ readonly child: ChildProcess; readonly url: string }>
  stop(child: ChildProcess): Promise<void>
  /** One POST, read to its end. */
  exchange(url: string, agent: Agent, fields: { [header: string]: string }, sent: string): Promise<string>
  headers(method: string, name: string): { [header: string]: string }
  body(method: string, params: object): string
  row(...cells: readonly string[]): void
}

type Call = () => Promise<string>

const credentials = { accessKeyId: 'AKIDBENCH', secretAccessKey: 'a-secret-access-key-of-forty-characters!' }
const tools = [{ name: 'get_pet', description: 'Look up one pet', inputSchema: { type: 'object' } }]

/** Against serverless-offline, in one process beside the gateway’s; skipped where that is not installed. */
export async function lambdaTable(bench: Bench): Promise<void> {
  const { seconds } = bench
  const row: Bench['row'] = (...cells) => bench.row(...cells)
  if (!hasEmulator) {
    process.stdout.write(`Lambda: skipped, ${whyNot}\n\n`)
    return
  }
  const emulator = await startLambdaEmulator()
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
  mkdirSync(join(dir, 'specs'))
  const file = { function: 'pets', region: 'us-east-1', tools }
  writeFileSync(join(dir, 'specs/pets.lambda.json'), JSON.stringify(file))
  process.env['BENCH_AWS_ID'] = credentials.accessKeyId
  process.env['BENCH_AWS_SECRET'] = credentials.secretAccessKey
  const gateway = await bench.startGateway(dir, {
    admin: { port: 0, tools: false },
    egress: { allow: [emulator.address] },
    credentials: {
      aws: {
        type: 'sigv4',
        service: 'lambda',
        region: 'us-east-1',
        accessKeyId: { env: 'BENCH_AWS_ID' },
        secretAccessKey: { env: 'BENCH_AWS_SECRET' },
      },
    },
    targets: { pets: { credential: 'aws', lambda: { endpoint: emulator.origin } } },
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const name = 'pets___get_pet'
  const sent = bench.body('tools/call', { name, arguments: { id: 42 } })
  const ours: Call = () => bench.exchange(`${gateway.url}/mcp`, agent, bench.headers('tools/call', name), sent)
  const client = new LambdaClient({ endpoint: emulator.origin, region: 'us-east-1', credentials, maxAttempts: 1 })
  const direct: Call = async () => {
    const { Payload } = await client.send(new InvokeCommand({ FunctionName: 'pets', Payload: '{"id":42}' }))
    return Payload?.transformToString() ?? ''
  }
  for (const call of [ours, direct])
    for (let warmUp = 0; warmUp < 150; warmUp++) {
      const text = await call()
      if (!text.includes('Rex')) throw new Error(`the call failed: ${text}`)
    }
  row('Lambda function, connections', 'gateway', 'AWS’s client alone', 'ratio')
  row('---', '---', '---', '---')
  const [through, bare] = await oneByOne(ours, direct, seconds * 2)
  row('1, median ms', through.toFixed(2), bare.toFixed(2), (through / bare).toFixed(2))
  // in turn, so that the machine's moods strike both; the best of each counts
  const rates = [0, 1, 2].map(() => ({ ours: 0, direct: 0 }))
  for (const rate of rates) {
    rate.ours = await rateOf(ours, 32, seconds / 2)
    rate.direct = await rateOf(direct, 32, seconds / 2)
  }
  const [fast, free] = [Math.max(...rates.map((rate) => rate.ours)), Math.max(...rates.map((rate) => rate.direct))]
  row('32, calls/s', fast.toFixed(0), free.toFixed(0), (fast / free).toFixed(2))
  process.stdout.write('\n')
  agent.destroy()
  client.destroy()
  await bench.stop(gateway.child)
  await emulator.close()
  rmSync(dir, { recursive: true })
}

/** Medians in milliseconds, the two called in turn. */
async function oneByOne(one: Call, other: Call, forSeconds: number): Promise<readonly [number, number]> {
  const times: [number[], number[]] = [[], []]
  const end = performance.now() + forSeconds * 1_000
  while (performance.now() < end)
    for (const [place, call] of [one, other].entries()) {
      const began = performance.now()
      await call()
      times[place]?.push(performance.now() - began)
    }
  const median = (list: number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0
  return [median(times[0]), median(times[1])]
}

async function rateOf(call: Call, connections: number, forSeconds: number): Promise<number> {
  let calls = 0
  const began = performance.now()
  const end = began + forSeconds * 1_000
  const loop = async (): Promise<void> => {
    while (performance.now() < end) {
      await call()
      calls++
    }
  }
  await Promise.all(Array.from({ length: connections }, loop))
  return (calls * 1_000) / (performance.now() - began)
}
