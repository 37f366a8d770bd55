/**
 * Hundreds of real descriptions, when they are there: `TOOLGATE_CORPUS` names a folder with `open.tar.gz`, its manifest
 * and its scorer. Without it this says so, and the project's own descriptions stand alone.
 */
import { execFile, spawn } from 'node:child_process'
import { createWriteStream, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const corpus = process.env['TOOLGATE_CORPUS'] ?? join(root, '.corpus')
const archive = join(corpus, 'open.tar.gz')
const present = existsSync(archive)
/** Within the project, so that the scorer finds its libraries. */
const work = join(root, '.corpus', `run-${process.pid}`)

if (!present)
  process.stderr.write(
    `\nSKIPPED: the corpus test, since there is no ${relative(root, archive)}. Set TOOLGATE_CORPUS to run it.\n\n`,
  )

/** Documents and operations that truly cannot be imported, each with the reason. */
const exceptions = JSON.parse(readFileSync(join(import.meta.dirname, 'corpus-exceptions.json'), 'utf8')) as {
  source: string
  message: string
  reason: string
}[]

interface Document {
  readonly source: string
  readonly ok: boolean
  readonly tools: readonly { readonly operation: string }[]
  readonly issues: readonly { readonly severity: string; readonly message: string }[]
}

describe.skipIf(!present)('on the corpus', () => {
  let score: { readonly [figure: string]: string | number }
  let status: number | null
  const refused: string[] = []
  /** What of ordinary documents was left out: `source` and what the import says. */
  const left: { source: string; message: string }[] = []
  const hostile = new Set<string>()

  beforeAll(async () => {
    mkdirSync(work, { recursive: true })
    await promisify(execFile)('tar', ['xzf', archive, '-C', work])
    for (const file of ['score.mjs', 'lib', 'package.json'])
      cpSync(join(corpus, file), join(work, file), { recursive: true })
    const [head = '', ...lines] = readFileSync(join(work, 'open/MANIFEST.tsv'), 'utf8').trim().split('\n')
    const kind = head.split('\t').indexOf('class')
    const specs = lines.map((line) => line.split('\t')[0] ?? '')
    for (const line of lines) if (line.split('\t')[kind] === 'hostile') hostile.add(line.split('\t')[0] ?? '')
    status = await checkAll(specs)
    await promisify(execFile)(process.execPath, ['score.mjs', 'rows.ndjson', 'open', '--json', 'score.json'], {
      cwd: work,
      maxBuffer: 1 << 26,
    })
    score = JSON.parse(readFileSync(join(work, 'score.json'), 'utf8')) as typeof score
  }, 400_000)

  afterAll(() => rmSync(work, { recursive: true, force: true }))

  /** One run of `toolgate check --json`, its lines turned into the scorer's rows. */
  async function checkAll(specs: readonly string[]): Promise<number | null> {
    const main = join(root, 'src/main.ts')
    const child = spawn(process.execPath, [main, 'check', '--json', ...specs], {
      cwd: join(work, 'open'),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const rows = createWriteStream(join(work, 'rows.ndjson'))
    // Lines end at LF only: a description may hold U+2028.
    let rest = ''
    child.stdout.setEncoding('utf8')
    for await (const chunk of child.stdout as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) rows.write(`${JSON.stringify(toRow(JSON.parse(line) as Document))}\n`)
    }
    await new Promise<void>((resolve) => rows.end(resolve))
    return child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))
  }

  function toRow({ source, ok, tools, issues }: Document): object {
    const error = issues.find(({ severity }) => severity === 'error')?.message ?? ''
    if (!ok) refused.push(`${source}: ${error}`)
    if (!hostile.has(source))
      for (const { severity, message } of issues) if (severity === 'error') left.push({ source, message })
    return {
      spec: source,
      tools: tools.map((tool) => ({ ...tool, op: tool.operation })),
      ...(ok ? {} : { error }),
      ms: 0,
      rssMb: 0,
    }
  }

  it('imports at least 99.5 % of the documents', () => {
    expect(Number(score['documents imported %']), refused.join('\n')).toBeGreaterThanOrEqual(99.5)
    expect(status).toBe(refused.length === 0 ? 0 : 1)
  })

  it('turns at least 99.9 % of the operations into tools', () => {
    expect(Number(score['operations with a tool %'])).toBeGreaterThanOrEqual(99.9)
  })

  it('leaves out what the list of exceptions names, and nothing else', () => {
    const known = exceptions.map(({ source, message }) => ({ source, message }))
    expect(left.toSorted((a, b) => (a.source < b.source ? -1 : 1))).toEqual(known)
    expect(exceptions.filter(({ reason }) => reason.length < 20)).toEqual([])
  })

  it.each([
    'name <=128 %',
    'name client-safe <=64 %',
    'name unique %',
    'description %',
    'inputSchema object %',
    '$ref all resolve %',
    'compiles (ajv 2020-12) %',
    'no top-level combiner %',
  ])('reaches 100 in %s', (figure) => {
    expect(Number(score[figure])).toBe(100)
  })

  it('makes at least 99.5 % of the operations usable and 99 % faithful', () => {
    expect(Number(score['USABLE operations % (of all)'])).toBeGreaterThanOrEqual(99.5)
    expect(Number(score['FAITHFUL operations % (of all)'])).toBeGreaterThanOrEqual(99)
  })

  it('imports the tool lists of AgentCore’s samples whole, as they stand', async () => {
    const [, ...lines] = readFileSync(join(work, 'open/lambda-tools/MANIFEST.tsv'), 'utf8').trim().split('\n')
    const tools = lines
      .map((line) => line.split('\t'))
      .map(([path = '', , , , , , , count]) => [path, Number(count)] as const)
    const main = join(root, 'src/main.ts')
    const paths = tools.map(([path]) => path)
    const { stdout } = await promisify(execFile)(process.execPath, [main, 'check', '--json', ...paths], {
      cwd: join(work, 'open'),
    })
    const found = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Document & { readonly format: string })
    expect(found.map(({ source, tools: made }) => [source, made.length])).toEqual(tools)
    expect(found.flatMap(({ issues }) => issues)).toEqual([])
    expect(new Set(found.map(({ format }) => format))).toEqual(new Set(['lambda-tools']))
  })

  it('handles every hostile document', () => {
    const [handled, all] = String(score['hostile handled']).split('/')
    expect(handled).toBe(all)
  })
})
