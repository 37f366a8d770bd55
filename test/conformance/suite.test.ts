/** The official conformance suite against a running gateway whose target is an MCP server, in both revisions: nothing may fail. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { type ConformanceTarget, nameOverrides, startConformanceTarget } from './server.ts'

const suite = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')),
  'dist/index.js',
)

let target: ConformanceTarget
let gateway: GatewayProcess
let hasExtra = false

/** Adds or takes away a target of the gateway, so that its list of tools changes. */
async function toggle(): Promise<void> {
  hasExtra = !hasExtra
  const extra = {
    openapi: '3.1.0',
    info: { title: 'extra', version: '1' },
    servers: [{ url: `http://${target.address}` }],
    paths: { '/extra': { get: { operationId: 'extra', responses: {} } } },
  }
  await fetch(`${gateway.adminUrl}/api/targets/extra`, {
    method: hasExtra ? 'PUT' : 'DELETE',
    headers: { authorization: `Bearer ${gateway.adminToken}` },
    ...(hasExtra ? { body: JSON.stringify(extra) } : {}),
  })
}

beforeAll(async () => {
  target = await startConformanceTarget(toggle)
  gateway = await startGatewayProcess({
    config: {
      egress: { allow: [target.address] },
      admin: { port: 0, tools: false },
      targets: { conformance: { mcp: { url: target.url }, tools: { override: nameOverrides } } },
    },
  })
})

afterAll(async () => {
  await gateway.remove()
  await target.close()
})

/** Runs the suite and gives its exit status with what failed, so that a failure tells itself. */
async function run(...args: readonly string[]): Promise<{ status: number | null; report: string }> {
  const out = mkdtempSync(join(tmpdir(), 'toolgate-conformance-'))
  try {
    const url = `${gateway.url.replace('127.0.0.1', 'localhost')}/mcp`
    const child = spawn(process.execPath, [suite, 'server', '--url', url, '-o', out, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    child.stderr.resume()
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { status, report: status === 0 ? '' : failures(out) + text.slice(-2_000) }
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

function failures(out: string): string {
  const lines: string[] = []
  for (const scenario of readdirSync(out)) {
    const file = join(out, scenario, 'checks.json')
    if (!existsSync(file)) continue
    for (const check of JSON.parse(readFileSync(file, 'utf8')) as {
      id: string
      status: string
      errorMessage?: string
    }[])
      if (check.status === 'FAILURE' || check.status === 'WARNING')
        lines.push(`${scenario.replace(/-\d{4}-.*$/, '')} ${check.status} ${check.id}: ${check.errorMessage ?? ''}`)
  }
  return `${lines.join('\n')}\n`
}

describe('the official conformance suite', () => {
  it.each(['2026-07-28', '2025-11-25'])(
    'passes all that %s requires, with an empty list of expected failures',
    async (revision) => {
      const expected = join(import.meta.dirname, 'expected-failures.yml')
      const { status, report } = await run('--requirements', revision, '--expected-failures', expected)
      expect(report).toBe('')
      expect(status).toBe(0)
    },
    120_000,
  )

  it.each([
    ['http-header-validation', '2026-07-28'],
    ['server-stateless', '2026-07-28'],
    ['dns-rebinding-protection', '2026-07-28'],
    ['dns-rebinding-protection', '2025-11-25'],
  ])('passes %s of %s whole', async (scenario, revision) => {
    const { status, report } = await run('--scenario', scenario, '--spec-version', revision)
    expect(report).toBe('')
    expect(status).toBe(0)
  })
})
