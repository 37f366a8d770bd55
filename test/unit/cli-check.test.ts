/** What `toolgate check` prints: for people as wide as their terminal, for programs one object a line. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { renamed, savedOf } from '../../src/cli/against.ts'
import { table } from '../../src/cli/print.ts'
import { differenceText } from '../../src/cli/report/difference.ts'
import { findingsText } from '../../src/cli/report/findings.ts'
import { importReport } from '../../src/cli/report/import.ts'
import { type Look, printable, wrap } from '../../src/cli/report/look.ts'
import { progressOn } from '../../src/cli/report/progress.ts'
import type { Finding } from '../../src/catalogue/providers.ts'
import type { ToolDefinition } from '../../src/catalogue/tool.ts'
import type { Issue } from '../../src/targets/adapter.ts'
import type { Loose } from '../support/wire.ts'

const pipe: Look = { width: Infinity, paint: (_style, text) => text }
const narrow: Look = { width: 80, paint: (_style, text) => text }
const marked: Look = { width: Infinity, paint: (style, text) => `<${style}>${text}</>` }

const definition = (name: string): ToolDefinition => ({
  name,
  description: 'd',
  inputSchema: { type: 'object' },
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: false, openWorldHint: true },
})
const importText = (...words: Parameters<typeof importReport>): string => importReport(...words).text
const imported = (
  issues: readonly Issue[],
  operations: readonly string[] = ['GET /pets', 'POST /pets'],
): Parameters<typeof importReport>[0] => ({
  source: 'pets.yaml',
  format: 'openapi-3.1',
  operations: operations.length,
  issues,
  tools: operations.map((operation, index) => ({ definition: definition(`pets___t${index}`), operation })),
  lines: (some) => some.map(({ pointer }) => (pointer === '' ? undefined : pointer.length)),
})
const warning = (code: string, pointer: string, message: string): Issue => ({
  severity: 'warning',
  code,
  pointer,
  message,
})

describe('importReport', () => {
  it('is a table of operations with their tools, tokens and warnings', () => {
    expect(importText(imported([]), pipe)).toBe(
      [
        'pets.yaml: openapi-3.1, 2 tools of 2 operations, about 36 tokens',
        'OPERATION   TOOL       TOKENS  WARNINGS',
        'GET /pets   pets___t0      18         -',
        'POST /pets  pets___t1      18         -',
        '',
        '',
      ].join('\n'),
    )
  })

  it('says each thing once, with line, pointer and hint; errors before warnings', () => {
    const issues: Issue[] = [
      warning('fragment', '/paths/~1pets/get', 'GET /pets: A fragment is left out.'),
      warning('pattern_dropped', '/components/schemas/A/pattern', 'GET /pets: The pattern is left out.'),
      warning('pattern_dropped', '/components/schemas/A/pattern', 'POST /pets: The pattern is left out.'),
      {
        severity: 'error',
        code: 'bad_description',
        pointer: '/paths/~1x/get',
        message: 'GET /x is left out: it is odd.',
      },
      warning('unheard_of', '', 'Something else.'),
    ]
    const text = importText(imported(issues), pipe)
    expect(text.split('\n')[0]).toBe(
      'pets.yaml: openapi-3.1, 2 tools of 2 operations, about 36 tokens, 1 error, 4 warnings',
    )
    expect(text).toMatch(/^GET \/pets .* 2$/m)
    expect(text).toMatch(/^POST \/pets .* 1$/m)
    expect(text.slice(text.indexOf('\n  error'))).toBe(
      [
        '',
        '  error bad_description',
        '    Left out: it is odd.',
        '      pets.yaml:14  /paths/~1x/get',
        '    → Mend what the message names and check again; `npx @redocly/cli lint FILE` shows the structure in full.',
        '  warning fragment',
        '    A fragment is left out.',
        '      pets.yaml:17  /paths/~1pets/get',
        '    → Take `#…` out of the path. To tell variants of one path apart, describe them as one operation whose body is a `oneOf`.',
        '  warning pattern_dropped',
        '    The pattern is left out.',
        '      pets.yaml:29  /components/schemas/A/pattern (GET /pets and 1 more)',
        '    → Write the `pattern` as ECMA-262 has it: no `(?i)`, no `\\A`, no possessive quantifiers.',
        '  warning unheard_of',
        '    Something else.',
        '      pets.yaml',
        '',
        '',
      ].join('\n'),
    )
  })

  it('counts what repeats in great numbers, and looks up the lines of what it prints only', () => {
    const issues = Array.from({ length: 900 }, (_, index) =>
      warning('fragment', `/paths/~1p${index}/get`, `GET /p${index}: A fragment is left out.`),
    )
    let asked = 0
    const text = importText({ ...imported(issues), lines: (some) => some.map(() => ++asked) }, pipe)
    expect(text).toContain(
      '  warning fragment (900)\n    A fragment is left out.\n      pets.yaml:1  /paths/~1p0/get\n',
    )
    expect(text).toContain('\n    and 895 more\n')
    expect(asked).toBe(5)
  })

  it('keeps to a terminal’s width, cutting names in their middle and breaking sentences', () => {
    const operation = `GET /${'very/'.repeat(20)}long`
    const issue = warning(
      'operation_id',
      '/paths/~1pets/get',
      'Several operations are called one and the same thing; each is given a hash of its method and path.',
    )
    const lines = importText(imported([issue], [operation, 'GET /b']), narrow).split('\n')
    expect(lines.filter((line) => line.length > 80)).toEqual([])
    expect(lines[2]).toMatch(/^GET \/very\/.*….*\/long +pets___t0 +18 +-$/)
    expect(importText(imported([issue], [operation]), pipe)).toContain(operation)
  })

  it('is coloured where the look is', () => {
    const text = importText(imported([warning('fragment', '/a', 'm')]), marked)
    expect(text).toContain('<bold>pets.yaml</>: ')
    expect(text).toContain('  <yellow>warning</> <bold>fragment</>\n')
  })

  it('shows a terminal nothing that it would obey', () => {
    const issue = warning('fragment', '/paths/~1\u001B[2J', 'a \u009B31m b \u202E c')
    const text = importText({ ...imported([issue], ['GET /\u0007']), source: 'p\u001B]0;x\u0007.yaml' }, pipe)
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}|\u202E/u)
    expect(text).toContain('GET /\\u0007')
  })
})

describe('findingsText', () => {
  const finding = (severity: Finding['severity'], tool: string): Finding => ({
    provider: 'openai',
    severity,
    tool,
    pointer: '/name',
    rule: 'name',
    message: 'The name is odd.',
    hint: 'Change it.',
  })

  it('gives each provider’s verdict with its reasons', () => {
    expect(
      findingsText(['openai', 'gemini'], [finding('error', 'a'), finding('error', 'bc'), finding('note', 'a')], pipe),
    ).toBe(
      [
        'openai: refused, 2 errors, 1 note',
        '  error name (2)',
        '    The name is odd.',
        '      a   /name',
        '      bc  /name',
        '    → Change it.',
        '  note name',
        '    The name is odd.',
        '      a  /name',
        '    → Change it.',
        'gemini: accepted',
        '',
        '',
      ].join('\n'),
    )
  })
})

describe('differenceText', () => {
  it('lists what went, came and changed, and what of it breaks', () => {
    const change = {
      pointer: '/description',
      kind: 'description',
      breaking: false,
      message: 'The description changed.',
    }
    const changed = [
      { tool: 'c', breaking: true, changes: [change, { ...change, breaking: true, message: '`a` is gone.' }] },
      { tool: 'd', breaking: false, changes: [change] },
    ]
    expect(differenceText('old.yaml', { added: ['a'], removed: ['b'], changed }, pipe)).toBe(
      [
        'Against old.yaml: 1 tool added, 1 tool removed (callers break), 2 tools changed (1 so that callers break)',
        '  - b',
        '  + a',
        '  ~ c breaks callers',
        '      The description changed.',
        '      breaks: `a` is gone.',
        '  ~ d',
        '      The description changed.',
        '',
        '',
      ].join('\n'),
    )
    expect(differenceText('old.yaml', { added: [], removed: [], changed: [] }, pipe)).toBe(
      'Against old.yaml: nothing changed\n\n',
    )
  })
})

describe('table', () => {
  it.each([80, 100, 120])('%i characters wide, it shares them among the columns that may be cut', (width) => {
    const rows = [
      ['x'.repeat(200), 'y'.repeat(64), '1,234'],
      ['a', 'b', '5'],
    ]
    const lines = table(['ONE', 'TWO', 'N'], rows, { width, cut: [0, 1], right: [2] })
      .trimEnd()
      .split('\n')
    expect(lines.map((line) => line.length)).toEqual([width, width, width])
    expect(lines[1]).toMatch(/^x+…x+ {2}y+(…y+)? {2}1,234$/)
    expect(lines[2]).toMatch(/^a +b +5$/)
  })

  it('leaves what is narrow alone', () => {
    expect(table(['A', 'B'], [['1', '22']])).toBe('A  B\n1  22\n')
  })
})

describe('wrap and printable', () => {
  it('break at spaces only, and indent', () => {
    expect(wrap('one two three', 2, { ...pipe, width: 22 })).toBe('  one two three\n')
    expect(wrap(`${'a'.repeat(90)} b`, 2, narrow)).toBe(`  ${'a'.repeat(90)}\n  b\n`)
    expect(printable('a\tb\u2028c')).toBe('a\\u0009b\\u2028c')
  })
})

describe('progressOn', () => {
  it('writes one line on a terminal, and nothing elsewhere', () => {
    let text = ''
    const stream = (isTTY: boolean) =>
      ({ isTTY, columns: 30, write: (part: string) => (text += part) }) as unknown as Parameters<typeof progressOn>[0]
    const silent = progressOn(stream(false))
    silent.at('x')
    silent.clear()
    expect(text).toBe('')
    const progress = progressOn(stream(true))
    progress.at('y'.repeat(50))
    progress.clear()
    expect(text).toBe(`\r\u001B[K${'y'.repeat(29)}\r\u001B[K`)
  })
})

describe('savedOf', () => {
  const saved = (source: string, ...names: string[]) => ({ source, tools: names.map(definition) })

  it.each<[what: string, sources: string[], newer: string, isOnly: boolean, found: string | undefined]>([
    ['the same source', ['a/x.yaml', 'b/x.yaml'], 'b/x.yaml', false, 'b/x.yaml'],
    ['the same target elsewhere', ['old/x.yaml', 'old/y.yaml'], 'new/x.json', false, 'old/x.yaml'],
    ['two of one target', ['a/x.yaml', 'b/x.yaml'], 'c/x.yaml', false, undefined],
    ['the only one of all', ['v1.yaml'], 'v2.yaml', true, 'v1.yaml'],
    ['the only one, among several', ['v1.yaml'], 'v2.yaml', false, undefined],
  ])('finds %s', (_what, sources, source, isOnly, found) => {
    const name = source.replace(/^.*\/|\.\w+$/g, '')
    expect(
      savedOf(
        sources.map((one) => saved(one)),
        { source, name },
        isOnly,
      )?.source,
    ).toBe(found)
  })

  it('names tools after the newer target', () => {
    const names = renamed(saved('old/v1.yaml', 'v1___a', 'other'), { source: 'v2.yaml', name: 'v2' }).map(
      ({ name }) => name,
    )
    expect(names).toEqual(['v2___a', 'other'])
  })
})

describe('toolgate check', () => {
  let dir = ''
  const bin = join(import.meta.dirname, '../../bin/toolgate.mjs')
  const api = (limit: string, more = ''): string =>
    [
      'openapi: 3.1.0',
      'info: { title: t, version: "1" }',
      'servers: [{ url: https://x.example }]',
      'paths:',
      '  /pets/{id}:',
      '    get:',
      '      operationId: getPet',
      '      parameters:',
      `        - { name: limit, in: query, schema: ${limit} }`,
      '      responses: {}',
      more,
    ].join('\n')
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'toolgate-check-'))
    writeFileSync(join(dir, 'pets.yaml'), api('{ type: integer, maximum: 10 }', '  /new: { get: { responses: {} } }'))
    writeFileSync(join(dir, 'v1.yaml'), api('{ type: integer }', '  /old: { get: { responses: {} } }'))
    writeFileSync(join(dir, '3d.yaml'), api('{ type: string }'))
    writeFileSync(join(dir, 'broken.json'), '{"openapi": "3.1.0",\n "paths": {,}}')
    writeFileSync(
      join(dir, 'gateway.config.json'),
      JSON.stringify({ admin: { tools: false }, specs: 'none', targets: { pets: { openapi: 'pets.yaml' } } }),
    )
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  const run = (...words: readonly string[]): Promise<{ status: number | null; out: string; err: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [bin, 'check', ...words], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
      let [out, err] = ['', '']
      child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
      child.once('error', reject)
      child.once('close', (status) => resolve({ status, out, err }))
    })
  const objects = (text: string): Loose[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))

  it('sums up in its last line, with lines in the source and nothing of a terminal', async () => {
    const { status, out, err } = await run('pets.yaml', 'v1.yaml', 'broken.json')
    expect([status, err]).toEqual([1, ''])
    expect(out).toContain('\n      pets.yaml:6  /paths/~1pets~1{id}/get\n')
    expect(out).toContain('\n  broken.json:2: The description is not valid JSON')
    expect(out).toMatch(
      /\n2 of 3 documents can be imported\. 4 tools of 4 operations, 1 error, 2 warnings, about \d+ tokens\.\n$/,
    )
    // oxlint-disable-next-line no-control-regex
    expect(out).not.toMatch(/[\u001B\r]/)
  })

  it('--json keeps the contract’s shape and adds the line to each issue', async () => {
    const [pets, broken] = objects((await run('--json', 'pets.yaml', 'broken.json')).out)
    expect(Object.keys(pets)).toEqual(['source', 'ok', 'format', 'operations', 'tools', 'issues'])
    expect(pets.issues).toEqual([
      {
        severity: 'warning',
        code: 'undeclared_parameter',
        pointer: '/paths/~1pets~1{id}/get',
        message: expect.any(String),
        line: 6,
      },
    ])
    expect(broken.issues).toEqual([expect.objectContaining({ code: 'bad_description', line: 2 })])
  })

  it('--provider fails where a provider refuses a tool, and takes several', async () => {
    const good = await run('pets.yaml', '--provider', 'openai,bedrock', '--provider', 'gemini')
    expect([good.status, good.out.match(/^\w+: (?:accepted|refused)/gm)]).toEqual([
      0,
      ['openai: accepted', 'gemini: accepted', 'bedrock: accepted'],
    ])
    const bad = await run('3d.yaml', '--provider', 'all', '--json')
    const [document, verdict] = objects(bad.out)
    expect([bad.status, document.ok, verdict.source, verdict.providers.length]).toEqual([1, true, '3d.yaml', 4])
    expect(verdict.findings).toContainEqual(
      expect.objectContaining({ provider: 'gemini', severity: 'error', tool: '3d___getPet', pointer: '/name' }),
    )
  })

  const wanted = {
    added: ['pets___get_new'],
    removed: ['pets___get_old'],
    changed: [
      {
        tool: 'pets___getPet',
        breaking: true,
        changes: [
          {
            pointer: '/inputSchema/properties/limit',
            kind: 'bound',
            breaking: true,
            message: '`limit` is at most 10, was unbounded above.',
          },
        ],
      },
    ],
  }

  it('--against a description, or what --json printed of one, tells what changed and does not fail', async () => {
    const against = await run('pets.yaml', '--against', 'v1.yaml', '--json')
    expect([against.status, objects(against.out)[1]]).toEqual([0, { against: 'v1.yaml', ...wanted }])
    writeFileSync(join(dir, 'saved.jsonl'), (await run('v1.yaml', '--json', '--provider', 'openai')).out)
    const saved = await run('pets.yaml', '--against', 'saved.jsonl', '--json')
    expect([saved.status, objects(saved.out)[1]]).toEqual([0, { against: 'saved.jsonl', ...wanted }])
    const text = await run('pets.yaml', '--against', 'pets.yaml')
    expect(text.out).toContain('\nAgainst pets.yaml: nothing changed\n')
  })

  it('--against for all targets tells of targets that came and went', async () => {
    writeFileSync(join(dir, 'all.jsonl'), (await run('v1.yaml', '--json')).out)
    const { status, out } = await run('--against', 'all.jsonl', '--provider', 'all')
    expect(status).toBe(0)
    expect(out).toContain('\n  + pets___getPet\n')
    expect(out).toContain('\n  - v1___get_old\n')
  }, 20_000)

  it.each([
    [2, ['pets.yaml', '--provider', 'nobody'], /^toolgate: There are no rules of a provider nobody/],
    [2, ['pets.yaml', 'v1.yaml', '--against', 'v1.yaml'], /^toolgate: A description is compared with one other/],
    [1, ['pets.yaml', '--against', 'nowhere.yaml'], /^toolgate: There is no file/],
    [1, ['pets.yaml', '--against', 'broken.json'], /^toolgate: broken\.json: The description is not valid JSON/],
  ] as const)('ends with %i for %j', async (status, words, error) => {
    const ran = await run(...words)
    expect([ran.status, ran.out]).toEqual([status, ''])
    expect(ran.err).toMatch(error)
  })
})
