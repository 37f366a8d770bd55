/**
 * Small descriptions of every kind, the tools that they become and the requests that calls of them make. A difference is
 * looked at, not waved through: `UPDATE_GOLDEN=1` writes the files anew, and their diff is reviewed like code.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkArguments } from '../../src/catalogue/validate.ts'
import { toDefinition } from '../../src/catalogue/tool.ts'
import type { Json, Operation, OutboundRequest, Target } from '../../src/core/model.ts'
import type { ImportOptions } from '../../src/targets/adapter.ts'
import { openapi } from '../../src/targets/openapi.ts'

const update = process.env['UPDATE_GOLDEN'] === '1'
const here = import.meta.dirname
const folders = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

interface Call {
  /** The tool’s name. */
  readonly tool: string
  readonly arguments: { readonly [name: string]: Json }
  readonly request: unknown
}

const specOf = (folder: string): Uint8Array =>
  readFileSync(
    ['spec.yaml', 'spec.json'].map((name) => join(here, folder, name)).find((path) => existsSync(path)) ?? '',
  )

/** `overlay.yaml` is applied to the description; `options.json` is what the configuration says of the target. */
function optionsOf(folder: string): ImportOptions {
  const overlay = join(here, folder, 'overlay.yaml')
  const chosen = join(here, folder, 'options.json')
  const { serverVariables = {}, serverArguments = [] } = (
    existsSync(chosen) ? JSON.parse(readFileSync(chosen, 'utf8')) : {}
  ) as { serverVariables?: { [name: string]: string }; serverArguments?: string[] }
  return {
    serverVariables: new Map(Object.entries(serverVariables)),
    serverArguments,
    ...(existsSync(overlay) ? { overlays: [{ name: 'overlay.yaml', bytes: readFileSync(overlay) }] } : {}),
  }
}

const goldenOf = (folder: string, name: string): unknown =>
  JSON.parse(readFileSync(join(here, folder, name), 'utf8')) as unknown

function compare(folder: string, name: string, actual: unknown): void {
  if (update) writeFileSync(join(here, folder, name), `${JSON.stringify(actual, null, 2)}\n`)
  expect(actual).toEqual(goldenOf(folder, name))
}

const targetOf = (folder: string, server: string): Target => {
  const { origin, pathname } = new URL(server)
  return {
    name: folder,
    kind: 'openapi',
    origin,
    basePath: pathname.replace(/\/+$/, ''),
    timeoutMs: 1_000,
    headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
  }
}

/** The request as JSON: its boundary, which is random, by a name of its own. */
function shown({ method, url, headers, body }: OutboundRequest): unknown {
  const boundary = /boundary=([\w-]+)/.exec(headers.get('content-type') ?? '')?.[1]
  const plain = (text: string): string => (boundary === undefined ? text : text.replaceAll(boundary, 'BOUNDARY'))
  const bytes = body === undefined ? undefined : Buffer.from(body)
  const text = bytes?.toString('utf8')
  return {
    method,
    url,
    headers: Object.fromEntries([...headers].map(([name, value]) => [name, plain(value)])),
    ...(bytes === undefined
      ? {}
      : Buffer.from(text ?? '').equals(bytes)
        ? { body: plain(text ?? '') }
        : { bodyLatin1: plain(bytes.toString('latin1')) }),
  }
}

describe.each(folders)('%s', (folder) => {
  const load = (): ReturnType<typeof openapi.load> => openapi.load(specOf(folder), optionsOf(folder))
  const defined = (
    operations: readonly Operation[],
  ): { name: string; operation: string; [member: string]: unknown }[] =>
    operations.map((operation) => ({ ...toDefinition(folder, operation), operation: operation.label }))

  test('becomes these tools', async () => {
    const { format, server, operations, issues } = await load()
    compare(folder, 'catalogue.json', { format, server, tools: defined(operations), issues })
  })

  test('makes these requests of these calls', async () => {
    const { server = '', operations } = await load()
    const target = targetOf(folder, server)
    const calls = goldenOf(folder, 'requests.json') as Call[]
    const made = calls.map((call) => {
      const operation = operations.find((one) => toDefinition(folder, one).name === call.tool)
      if (operation === undefined) throw new Error(`there is no tool ${call.tool}`)
      const definition = Buffer.from(JSON.stringify(toDefinition(folder, operation)))
      const checked = checkArguments({ name: call.tool, target, operation, definition }, { ...call.arguments })
      expect(checked.faults, call.tool).toEqual([])
      return {
        tool: call.tool,
        arguments: call.arguments,
        request: shown(openapi.prepare(operation, checked.args as Call['arguments'], target)),
      }
    })
    expect(new Set(calls.map(({ tool }) => tool)).size).toBeGreaterThan(1)
    compare(folder, 'requests.json', made)
  })
})
