/**
 * `npm run bench`: the gateway against a bare reverse proxy, in one run on one machine, as ratios. Absolute figures of a
 * shared machine mean little; the ratios are what counts.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import autocannon from 'autocannon'
import { startIdentityProvider } from '../test/support/identity-provider.ts'
import { json, startRecorder } from '../test/support/recorder.ts'
import { lambdaTable } from './lambda.ts'
import { meteringTable } from './metering.ts'

const seconds = Number(process.env['BENCH_SECONDS'] ?? 4)
const main = join(import.meta.dirname, '../bin/toolgate.mjs')
const children: ChildProcess[] = []
const version = '2026-07-28'

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

async function startServer(
  kind: string,
  port: number,
  upstream = '',
  env: NodeJS.ProcessEnv = {},
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'servers.ts'), kind, String(port), upstream], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  children.push(child)
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  return child
}

interface Started {
  readonly child: ChildProcess
  readonly url: string
  readonly adminUrl: string
  readonly readyMs: number
}

async function startGateway(dir: string, config: object, nodeOptions: readonly string[] = []): Promise<Started> {
  writeFileSync(
    join(dir, 'gateway.config.json'),
    JSON.stringify({ listen: { port: await freePort() }, admin: { port: await freePort() }, ...config }),
  )
  const began = performance.now()
  const child = spawn(process.execPath, [...nodeOptions, main, 'serve', '--config', join(dir, 'gateway.config.json')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  let log = ''
  const urls = await new Promise<Pick<Started, 'url' | 'adminUrl'>>((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text
      const line = log.split('\n').find((candidate) => candidate.includes('"msg":"ready"'))
      if (line !== undefined) resolve(JSON.parse(line) as Pick<Started, 'url' | 'adminUrl'>)
    })
    child.once('exit', () => reject(new Error(log)))
  })
  return { child, url: urls.url, adminUrl: urls.adminUrl, readyMs: performance.now() - began }
}

const headers = (method: string, name?: string): { [header: string]: string } => ({
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': version,
  'mcp-method': method,
  ...(name === undefined ? {} : { 'mcp-name': name }),
})

const body = (method: string, params: object): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method,
    params: {
      ...params,
      _meta: { 'io.modelcontextprotocol/protocolVersion': version, 'io.modelcontextprotocol/clientCapabilities': {} },
    },
  })

interface Figures {
  readonly rate: number
  readonly p50: number
  readonly p99: number
  readonly errors: number
}

async function drive(
  url: string,
  connections: number,
  options: { method?: 'POST' | 'GET'; headers?: object; body?: string } = {},
  duration = seconds,
): Promise<Figures> {
  const run = await autocannon({ url, connections, duration, ...(options as object) })
  return {
    rate: run['2xx'] / run.duration,
    p50: run.latency.p50,
    p99: run.latency.p99,
    errors: run.non2xx + run.errors,
  }
}

/** Two subjects in turn, so that the machine's moods strike both; the best of each counts. */
async function pair(one: () => Promise<Figures>, other: () => Promise<Figures>): Promise<readonly [Figures, Figures]> {
  const best = (a: Figures, b: Figures): Figures => (a.rate >= b.rate ? a : b)
  const first = [await one(), await other()] as const
  return [best(first[0], await one()), best(first[1], await other())]
}

const rssMiB = (pid: number | undefined, field = 'VmRSS'): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024

const petstore = (operations: number): object => ({
  openapi: '3.1.0',
  info: { title: 'pets', version: '1' },
  paths: Object.fromEntries(
    Array.from({ length: operations }, (_, index) => [
      index === 0 ? '/pets/{id}' : `/pets/{id}/part${index}`,
      {
        get: {
          operationId: index === 0 ? 'get_pet' : `get_part_${index}`,
          summary: 'Look up one pet',
          description: 'The pet with its tags and its owner. '.repeat(6),
          parameters: [
            {
              name: 'id',
              in: 'path',
              required: true,
              description: 'The number on its collar.',
              schema: { type: 'integer', minimum: 1 },
            },
            {
              name: 'verbose',
              in: 'query',
              description: 'With everything.',
              schema: { type: 'boolean', default: false },
            },
            {
              name: 'fields',
              in: 'query',
              description: 'Only these members.',
              schema: { type: 'array', items: { type: 'string', enum: ['id', 'name', 'tags', 'owner'] } },
            },
          ],
          responses: { 200: { description: 'ok', content: { 'application/json': { schema: {} } } } },
        },
      },
    ]),
  ),
})

const round = (value: number, digits = 0): string => value.toFixed(digits)
const row = (...cells: readonly string[]): void => void process.stdout.write(`| ${cells.join(' | ')} |\n`)

async function calls(): Promise<void> {
  const [downstreamPort, proxyPort] = [await freePort(), await freePort()]
  await startServer('downstream', downstreamPort)
  const proxy = await startServer('proxy', proxyPort, `http://127.0.0.1:${downstreamPort}`)
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
  mkdirSync(join(dir, 'specs'))
  writeFileSync(join(dir, 'specs/pets.json'), JSON.stringify(petstore(1)))
  const gateway = await startGateway(dir, {
    admin: { port: await freePort(), tools: false },
    egress: { allow: [`127.0.0.1:${downstreamPort}`] },
    targets: { pets: { server: `http://127.0.0.1:${downstreamPort}` } },
  })
  const call = {
    method: 'POST' as const,
    headers: headers('tools/call', 'pets___get_pet'),
    body: body('tools/call', { name: 'pets___get_pet', arguments: { id: 42, verbose: true } }),
  }
  await drive(`${gateway.url}/mcp`, 8, call)
  row(
    'tools/call, connections',
    'gateway, calls/s',
    'bare proxy, requests/s',
    'ratio',
    'gateway p50/p99 ms',
    'proxy p50/p99 ms',
    'errors',
  )
  row('---', '---', '---', '---', '---', '---', '---')
  for (const connections of [1, 32, 256]) {
    const [ours, bare] = await pair(
      () => drive(`${gateway.url}/mcp`, connections, call),
      () => drive(`http://127.0.0.1:${proxyPort}/`, connections),
    )
    row(
      String(connections),
      round(ours.rate),
      round(bare.rate),
      round(ours.rate / bare.rate, 2),
      `${ours.p50}/${ours.p99}`,
      `${bare.p50}/${bare.p99}`,
      String(ours.errors),
    )
  }
  process.stdout.write(
    `\nRSS after it: gateway ${round(rssMiB(gateway.child.pid))} MiB, bare proxy ${round(rssMiB(proxy.pid))} MiB\n\n`,
  )
  await stop(gateway.child)
  rmSync(dir, { recursive: true })
}

/** What it costs to be let in: the same call with every way in, each with the same token or key again and again. */
async function signedIn(): Promise<void> {
  const connections = 32
  const downstreamPort = await freePort()
  await startServer('downstream', downstreamPort)
  const provider = await startIdentityProvider()
  const ways = [
    { name: 'none', inbound: { type: 'none' } },
    { name: 'jwt', inbound: { type: 'jwt', discoveryUrl: provider.discoveryUrl, allowedScopes: ['tools'] } },
    { name: 'apiKey', inbound: { type: 'apiKey' } },
  ]
  const doors: { name: string; call: (duration: number) => Promise<Figures>; stop: () => Promise<void> }[] = []
  for (const { name, inbound } of ways) {
    const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
    mkdirSync(join(dir, 'specs'))
    writeFileSync(join(dir, 'specs/pets.json'), JSON.stringify(petstore(1)))
    const { child, url, adminUrl } = await startGateway(dir, {
      admin: { port: await freePort(), tools: false },
      egress: { allow: [`127.0.0.1:${downstreamPort}`, provider.address] },
      targets: { pets: { server: `http://127.0.0.1:${downstreamPort}` } },
      inbound,
    })
    const token =
      name === 'jwt' ? await provider.token(`${url}/mcp`) : name === 'apiKey' ? await newKey(adminUrl, dir) : undefined
    const call = {
      method: 'POST' as const,
      headers: {
        ...headers('tools/call', 'pets___get_pet'),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: body('tools/call', { name: 'pets___get_pet', arguments: { id: 42, verbose: true } }),
    }
    doors.push({
      name,
      call: (duration) => drive(`${url}/mcp`, connections, call, duration),
      async stop() {
        await stop(child)
        rmSync(dir, { recursive: true })
      },
    })
  }
  for (const door of doors) await door.call(1)
  // in turn, and each compared within its own turn, so that the machine's moods strike all alike
  const turns: (readonly Figures[])[] = []
  for (let turn = 0; turn < 8; turn++) {
    const figures: Figures[] = []
    for (const door of doors) figures.push(await door.call(seconds / 2))
    turns.push(figures)
  }
  row(`tools/call at ${connections} connections, inbound`, 'calls/s', 'ratio, median of 8', 'best and worst', 'errors')
  row('---', '---', '---', '---', '---')
  for (const [place, { name }] of doors.entries()) {
    const ratios = turns.map((turn) => (turn[place]?.rate ?? 0) / (turn[0]?.rate ?? 0)).toSorted((a, b) => a - b)
    const rates = turns.map((turn) => turn[place]?.rate ?? 0).toSorted((a, b) => a - b)
    const errors = turns.reduce((sum, turn) => sum + (turn[place]?.errors ?? 0), 0)
    const spread = `${round(ratios.at(-1) ?? 0, 2)}, ${round(ratios[0] ?? 0, 2)}`
    row(name, round(median(rates)), round(median(ratios), 2), spread, String(errors))
  }
  process.stdout.write('\n')
  for (const door of doors) await door.stop()
  await provider.close()
}

/** What a credential adds to a call: one connection, the credentials in turn from call to call, medians in ms. */
async function credentials(): Promise<void> {
  const [rounds, warmUp] = [Math.round(seconds * 750), 400]
  const downstreamPort = await freePort()
  await startServer('downstream', downstreamPort)
  const server = await startRecorder()
  server.answer = json({ access_token: 'x'.repeat(800), token_type: 'Bearer', expires_in: 86_400 })
  const key = { env: 'BENCH_KEY' }
  const ways = {
    none: undefined,
    apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key', value: key },
    'oauth2, cached token': {
      type: 'oauth2',
      grant: 'clientCredentials',
      issuer: server.origin,
      tokenEndpoint: `${server.origin}/token`,
      clientId: 'bench',
      clientSecret: key,
    },
    'sigv4, given keys': {
      type: 'sigv4',
      service: 'execute-api',
      region: 'us-east-1',
      accessKeyId: key,
      secretAccessKey: key,
    },
  }
  const names = Object.keys(ways)
  const targets = names.map((_name, place) => `t${place}`)
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
  mkdirSync(join(dir, 'specs'))
  for (const name of targets) writeFileSync(join(dir, `specs/${name}.json`), JSON.stringify(petstore(1)))
  process.env['BENCH_KEY'] = 'a-key-of-forty-characters-for-the-bench.'
  const gateway = await startGateway(dir, {
    admin: { port: await freePort(), tools: false },
    egress: { allow: [`127.0.0.1:${downstreamPort}`, server.address] },
    credentials: Object.fromEntries(
      Object.values(ways).flatMap((way, place) => (way === undefined ? [] : [[`t${place}`, way]])),
    ),
    targets: Object.fromEntries(
      Object.values(ways).map((way, place) => [
        `t${place}`,
        { server: `http://127.0.0.1:${downstreamPort}`, ...(way === undefined ? {} : { credential: `t${place}` }) },
      ]),
    ),
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const call = async (target: string): Promise<number> => {
    const name = `${target}___get_pet`
    const sent = body('tools/call', { name, arguments: { id: 42, verbose: true } })
    const began = performance.now()
    const text = await exchange(`${gateway.url}/mcp`, agent, headers('tools/call', name), sent)
    const ms = performance.now() - began
    if (!text.includes('Rex')) throw new Error(`the call failed: ${text}`)
    return ms
  }
  const times = targets.map((): number[] => [])
  for (let round = -warmUp; round < rounds; round++)
    for (let turn = 0; turn < targets.length; turn++) {
      // none is always behind the same other
      const place = (turn + round + warmUp) % targets.length
      const ms = await call(targets[place] ?? '')
      if (round >= 0) times[place]?.push(ms)
    }
  row(`tools/call at 1 connection, credential, ${rounds} calls each`, 'median ms', 'more than without, ms', 'p90 ms')
  row('---', '---', '---', '---')
  const sorted = times.map((list) => list.toSorted((a, b) => a - b))
  const without = times[0] ?? []
  for (const [place, name] of names.entries()) {
    const all = sorted[place] ?? []
    // each call against the one without in the same round
    const more = (times[place] ?? []).map((ms, round) => ms - (without[round] ?? 0)).toSorted((a, b) => a - b)
    row(name, round(median(all), 3), round(median(more), 3), round(all[Math.floor(all.length * 0.9)] ?? 0, 3))
  }
  process.stdout.write(`\nTokens asked for: ${server.requests.length}\n\n`)
  agent.destroy()
  await stop(gateway.child)
  await server.close()
  rmSync(dir, { recursive: true })
}

/** One POST, read to its end. */
const exchange = (url: string, agent: Agent, fields: { [header: string]: string }, sent: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent, headers: fields }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece))
      response.on('end', () => resolve(text))
    })
    outgoing.on('error', reject)
    outgoing.end(sent)
  })

/** Of numbers in order. */
const median = (sorted: readonly number[]): number => {
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] ?? 0) + (sorted[Math.floor(half)] ?? 0)) / 2
}

async function newKey(adminUrl: string, dir: string): Promise<string> {
  const token = readFileSync(join(dir, '.toolgate/admin-token'), 'utf8').trim()
  const answer = await fetch(`${adminUrl}/api/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ name: 'bench' }),
  })
  return ((await answer.json()) as { key: string }).key
}

async function lists(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
  mkdirSync(join(dir, 'specs'))
  writeFileSync(join(dir, 'specs/pets.json'), JSON.stringify(petstore(1_000)))
  const gateway = await startGateway(dir, {
    admin: { port: await freePort(), tools: false },
    targets: { pets: { server: 'https://pets.example.com' } },
  })
  const request = { method: 'POST' as const, headers: headers('tools/list'), body: body('tools/list', {}) }
  const atStart = rssMiB(gateway.child.pid)
  const rawPort = await freePort()
  await startServer('list', rawPort, `${gateway.url}/mcp`, {
    LIST_REQUEST: JSON.stringify({ ...request, headers: { ...request.headers, 'accept-encoding': 'identity' } }),
  })
  const bytes = (await (await fetch(`http://127.0.0.1:${rawPort}/`)).arrayBuffer()).byteLength
  row(
    `tools/list of 1,000 tools (${bytes} bytes), connections`,
    'gateway, lists/s',
    'same bytes from node:http',
    'ratio',
    'gzip, lists/s',
    'gzip ratio',
  )
  row('---', '---', '---', '---', '---', '---')
  for (const connections of [1, 32, 256]) {
    const [ours, raw] = await pair(
      () => drive(`${gateway.url}/mcp`, connections, request),
      () => drive(`http://127.0.0.1:${rawPort}/`, connections),
    )
    const zipped = await drive(`${gateway.url}/mcp`, connections, {
      ...request,
      headers: { ...request.headers, 'accept-encoding': 'gzip' },
    })
    row(
      String(connections),
      round(ours.rate),
      round(raw.rate),
      round(ours.rate / raw.rate, 2),
      round(zipped.rate),
      round(zipped.rate / raw.rate, 2),
    )
  }
  process.stdout.write(
    `\nRSS with 1,000 tools: ${round(atStart)} MiB at the start, ${round(rssMiB(gateway.child.pid))} MiB after 45 s of lists at full speed\n\n`,
  )
  await stop(gateway.child)
  rmSync(dir, { recursive: true })
}

const petCall = {
  method: 'POST' as const,
  headers: headers('tools/call', 'pets___get_pet'),
  body: body('tools/call', { name: 'pets___get_pet', arguments: { id: 42, verbose: true } }),
}

function metering(): Promise<void> {
  return meteringTable({
    seconds,
    async startDownstream() {
      const port = await freePort()
      await startServer('downstream', port)
      return `127.0.0.1:${port}`
    },
    startGateway,
    stop,
    call: (url, connections, duration) => drive(`${url}/mcp`, connections, petCall, duration),
    async times(urls, rounds) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const times = urls.map((): number[] => [])
      for (let round = -200; round < rounds; round++)
        for (let turn = 0; turn < urls.length; turn++) {
          const place = (turn + round + 200) % urls.length
          const began = performance.now()
          await exchange(`${urls[place]}/mcp`, agent, petCall.headers, petCall.body)
          if (round >= 0) times[place]?.push(performance.now() - began)
        }
      agent.destroy()
      return times
    },
    row,
    description: petstore(1),
  })
}

async function startUp(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-bench-'))
  mkdirSync(join(dir, 'specs'))
  for (let index = 0; index < 10; index++)
    writeFileSync(join(dir, `specs/pets${index}.json`), JSON.stringify(petstore(20)))
  const targets = Object.fromEntries(
    Array.from({ length: 10 }, (_, index) => [`pets${index}`, { server: 'https://pets.example.com' }]),
  )
  const times: number[] = []
  for (let run = 0; run < 5; run++) {
    const gateway = await startGateway(dir, { targets })
    times.push(gateway.readyMs)
    await stop(gateway.child)
  }
  times.sort((a, b) => a - b)
  process.stdout.write(
    `Start to ready with 10 descriptions: median ${round(times[2] ?? 0)} ms, best ${round(times[0] ?? 0)} ms, worst ${round(times[4] ?? 0)} ms\n`,
  )
  rmSync(dir, { recursive: true })
}

/** One description in a process of its own: time inside, and the peak that the kernel saw. */
async function importOf(file: string, name = 'import.ts'): Promise<void> {
  const script = join(import.meta.dirname, name)
  const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  await new Promise((resolve) => child.once('close', resolve))
  process.stdout.write(out)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
}

async function imports(): Promise<void> {
  const big =
    process.env['BENCH_DESCRIPTION'] ?? join(import.meta.dirname, '../.corpus/open/specs/github/api.github.com.json')
  if (existsSync(big)) await importOf(big)
  else
    process.stdout.write(
      `Import of a large description: skipped, ${big} is not there (BENCH_DESCRIPTION names another)\n`,
    )
  const many = process.env['BENCH_DESCRIPTIONS'] ?? join(import.meta.dirname, '../.corpus/open/specs')
  if (existsSync(many)) await importOf(many, 'corpus.ts')
  else process.stdout.write(`Import of many descriptions: skipped, BENCH_DESCRIPTIONS names no folder\n`)
  process.stdout.write('\n')
}

const tables: { readonly [name: string]: () => Promise<void> } = {
  startUp,
  imports,
  calls,
  signedIn,
  credentials,
  lists,
  metering,
  lambda: () => lambdaTable({ seconds, startGateway, stop, exchange, headers, body, row }),
}

try {
  // all of them, or those that are named: `npm run bench -- signedIn`
  const named = process.argv.slice(2)
  for (const [name, table] of Object.entries(tables)) if (named.length === 0 || named.includes(name)) await table()
} finally {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL')
}
