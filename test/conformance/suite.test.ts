/** The official conformance suite against a running gateway, both revisions; what it cannot pass yet is named beside it. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import { conformanceAnswer, conformanceDescription, nameOverrides } from './fixture.ts'

const suite = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json')),
  'dist/index.js',
)

let target: Recorder
let gateway: GatewayProcess

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: {
      egress: { allow: [target.address] },
      admin: { port: 0, tools: false },
      targets: { conformance: { openapi: 'conformance.json', tools: { override: nameOverrides } } },
    },
    files: { 'conformance.json': conformanceDescription(target.origin) },
  })
  let there = false
  const extra = JSON.stringify({
    openapi: '3.1.0',
    info: { title: 'extra', version: '1' },
    servers: [{ url: target.origin }],
    paths: { '/extra': { get: { operationId: 'extra', responses: {} } } },
  })
  target.answer = conformanceAnswer(async () => {
    there = !there
    await fetch(`${gateway.adminUrl}/api/targets/extra`, {
      method: there ? 'PUT' : 'DELETE',
      headers: { authorization: `Bearer ${gateway.adminToken}` },
      ...(there ? { body: extra } : {}),
    })
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
    'passes what %s requires, except what the list of expected failures names',
    async (revision) => {
      const expected = join(import.meta.dirname, `expected-failures-${revision}.yml`)
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
