/** What is written down agrees with the code: the configuration's JSON Schema, the admin API's description, the README. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { load as parse } from 'js-yaml'
import { runImport } from '../src/config/import-job.ts'
import { configJsonSchema, configSchema } from '../src/config/schema.ts'
import { systemClock } from '../src/core/clock.ts'
import { createLog } from '../src/core/log.ts'
import { Secret } from '../src/core/secret.ts'
import { createGuard } from '../src/mcp/guard.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'
import { adminRoutes } from '../src/web/admin.ts'
import { healthRoutes } from '../src/web/health.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const unused = (): never => {
  throw new Error('Nothing is called here.')
}

/** `GET /api/targets/{name}` and so on, as the admin listener routes them. */
function routed(): string[] {
  const admin = adminRoutes({
    token: new Secret('unused'),
    guard: createGuard({ hosts: [], origins: [], loopbackOrigins: false }),
    registrar: { put: unused, remove: unused, approve: unused },
    keys: { create: unused, list: unused, revoke: unused },
    connections: unused,
    audit: unused,
    usage: { rollUp: unused, answer: unused, invoice: unused, recount: unused },
    quotas: { state: unused },
    currency: 'USD',
    metrics: createMetrics({
      callsInFlight: () => 0,
      streamsOpen: () => 0,
      snapshotNumber: () => 0,
      targets: () => ({ ready: 0, failed: 0 }),
    }),
    log: createLog('silent'),
    clock: systemClock,
    current: unused,
  })
  // a route with a check of its own before it is listed twice
  const routes = [...admin.routes, ...healthRoutes({ troubles: () => Promise.resolve([]) }).routes]
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
  return [...new Set(routes)].toSorted()
}

describe('toolgate.schema.json', () => {
  it('is what the code makes of its own schema (npm run schema)', () => {
    expect(JSON.parse(read('toolgate.schema.json'))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())))
  })
})

describe('specs/toolgate.yaml', () => {
  it('describes every route of the admin listener, and no other', () => {
    const { paths } = parse(read('specs/toolgate.yaml')) as { paths: Record<string, Record<string, unknown>> }
    const described = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((key) => /^(?:get|put|post|patch|delete|head|options)$/.test(key))
        .map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(routed().length).toBeGreaterThan(8)
    expect(described.toSorted()).toEqual(routed())
  })

  it('is imported without a remark, each operation a tool', async () => {
    const reply = await runImport({
      target: 'toolgate',
      kind: 'openapi',
      bytes: readFileSync(join(root, 'specs/toolgate.yaml')),
      options: {},
      rules: { include: [], exclude: [], override: new Map() },
    })
    expect(reply.issues).toEqual([])
    expect(reply.format).toMatch(/3\.1/)
    expect(reply.tools.entries.map(({ operation }) => operation.label).toSorted()).toEqual(routed())
    expect(reply.tools.entries.map(({ name }) => name)).toContain('toolgate___list_targets')
    expect(reply.tools.entries.map(({ name }) => name)).toContain('toolgate___get_usage')
  })
})

interface SchemaNode {
  readonly properties?: Record<string, SchemaNode>
  readonly additionalProperties?: SchemaNode | boolean
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly oneOf?: readonly SchemaNode[]
}

/** Every key that the configuration may have, at any depth; names that the operator chooses are left out. */
function keys({ properties = {}, additionalProperties, items, anyOf = [], oneOf = [] }: SchemaNode): string[] {
  const inner = [...Object.values(properties), ...anyOf, ...oneOf]
  if (typeof additionalProperties === 'object') inner.push(additionalProperties)
  if (items !== undefined) inner.push(items)
  return [...Object.keys(properties), ...inner.flatMap(keys)]
}

describe.skipIf(!existsSync(join(root, 'README.md')))('README.md', () => {
  it('names every key of the configuration in its tables', () => {
    const told = new Set(
      read('README.md')
        .split('\n')
        .filter((line) => line.trimStart().startsWith('|'))
        .flatMap((line) => [...line.matchAll(/`([^`]+)`/g)].flatMap(([, code = '']) => code.split(/[^\w$]+/))),
    )
    const known = [...new Set(keys(configJsonSchema()))]
    expect(known.length).toBeGreaterThan(40)
    expect(known.filter((key) => key !== '$schema' && !told.has(key))).toEqual([])
  })

  it('shows configurations that are right', () => {
    const shown = [...read('README.md').matchAll(/^```json\n([\s\S]*?)^```/gm)]
      .map(([, text = '']) => JSON.parse(text) as object)
      .filter((value) => 'targets' in value || 'listen' in value || 'inbound' in value || 'egress' in value)
    expect(shown).not.toEqual([])
    for (const value of shown) expect(configSchema.safeParse(value).error?.issues ?? []).toEqual([])
  })
})
