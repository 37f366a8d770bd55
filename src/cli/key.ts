/** `toolgate key`: keys with which callers come, made, listed and ended where the gateway keeps them. */
import { createKeys, type Keys } from '../auth/keys.ts'
import { systemClock } from '../core/clock.ts'
import type { AuditTrail } from '../store/audit.ts'
import { GatewayError } from '../core/errors.ts'
import { shownKey } from '../web/admin-keys.ts'
import { withState } from './open-state.ts'
import { table } from './print.ts'

interface CommonOptions {
  readonly config?: string
  readonly json?: boolean
}

export interface CreateKeyOptions extends CommonOptions {
  readonly name: string
  readonly tenant: string
  readonly scopes?: string
  readonly targets?: string
  readonly expires?: string
  readonly sigv4?: boolean
}

const withKeys = <T>(config: string | undefined, act: (keys: Keys, audit: AuditTrail) => Promise<T>): Promise<T> =>
  withState(config, async ({ records, vault, audit }) => {
    const keys = createKeys({ records, vault, clock: systemClock })
    try {
      return await act(keys, audit)
    } finally {
      await keys.close()
    }
  })

/** RFC 3339; a day alone ends with its beginning in UTC. */
const timeOf = (text: string): number =>
  /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))?$/i.test(text) ? Date.parse(text) : Number.NaN

const list = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')

export async function createKey(options: CreateKeyOptions): Promise<void> {
  const expires = options.expires === undefined ? undefined : timeOf(options.expires)
  if (expires !== undefined && Number.isNaN(expires))
    throw new GatewayError('invalid_params', { words: '--expires wants YYYY-MM-DD or a time of RFC 3339.' })
  const { id, key } = await withKeys(options.config, async (keys, audit) => {
    const made = await keys.create({
      name: options.name,
      tenant: options.tenant,
      ...(options.scopes === undefined ? {} : { scopes: list(options.scopes) }),
      ...(options.targets === undefined ? {} : { targets: list(options.targets) }),
      ...(expires === undefined ? {} : { expires }),
      ...(options.sigv4 === true ? { sigv4: true } : {}),
    })
    audit.note({ act: 'key create', outcome: 'ok', id: made.id, name: options.name })
    return made
  })
  if (options.json === true) process.stdout.write(`${JSON.stringify({ id, key: key.reveal() })}\n`)
  else {
    process.stderr.write(
      `${options.sigv4 === true ? `Access key ${id}, with this secret` : `Key ${id}`}, shown only now:\n`,
    )
    process.stdout.write(`${key.reveal()}\n`)
  }
}

export async function listKeys(options: CommonOptions): Promise<void> {
  const found = await withKeys(options.config, (keys) => keys.list())
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ keys: found.map(shownKey) }, null, 2)}\n`)
    return
  }
  const day = (ms: number | undefined): string => (ms === undefined ? '' : new Date(ms).toISOString().slice(0, 16))
  process.stdout.write(
    table(
      ['ID', 'NAME', 'KIND', 'TENANT', 'SCOPES', 'TARGETS', 'EXPIRES', 'REVOKED', 'LAST USED'],
      found.map((key) => [
        key.id,
        key.name,
        key.kind,
        key.tenant,
        key.scopes.join(' '),
        (key.targets ?? []).join(' '),
        day(key.expires),
        day(key.revoked),
        day(key.lastUsed),
      ]),
    ),
  )
}

export async function revokeKey(id: string, options: CommonOptions): Promise<void> {
  const found = await withKeys(options.config, async (keys, audit) => {
    const was = await keys.revoke(id)
    audit.note({ act: 'key revoke', outcome: was ? 'ok' : 'absent', id })
    return was
  })
  if (!found) throw new GatewayError('not_found', { words: `There is no key ${id} in force.` })
  process.stdout.write(`${id}: revoked\n`)
}
