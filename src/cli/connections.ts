/** `toolgate connections`: users' grants, by the running gateway, which can revoke them at the vendor, too. */
import { admin } from './admin-client.ts'
import { table } from './print.ts'
import { z } from 'zod'

interface CommonOptions {
  readonly config?: string
  readonly tenant?: string
  readonly json?: boolean
}

const answer = z.object({
  connections: z.array(
    z.object({
      id: z.string(),
      tenant: z.string(),
      subject: z.string(),
      credential: z.string(),
      state: z.string(),
      scopes: z.array(z.string()),
      account: z.string().optional(),
      updatedAt: z.string(),
    }),
  ),
  next: z.string().optional(),
})

export async function listConnections(options: CommonOptions): Promise<void> {
  const found: z.infer<typeof answer>['connections'] = []
  let after: string | undefined
  do {
    const query = new URLSearchParams({
      ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
      ...(after === undefined ? {} : { after }),
    })
    const page = answer.parse(await admin(options.config, 'GET', `/api/connections?${query.toString()}`))
    found.push(...page.connections)
    after = page.next
  } while (after !== undefined)
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ connections: found }, null, 2)}\n`)
    return
  }
  process.stdout.write(
    table(
      ['ID', 'SUBJECT', 'CREDENTIAL', 'ACCOUNT', 'STATE', 'SCOPES', 'UPDATED'],
      found.map((one) => [
        one.id,
        one.subject,
        one.credential,
        one.account ?? '',
        one.state,
        one.scopes.join(' '),
        one.updatedAt,
      ]),
    ),
  )
}

export async function revokeConnection(id: string, options: CommonOptions): Promise<void> {
  const query = options.tenant === undefined ? '' : `?tenant=${encodeURIComponent(options.tenant)}`
  await admin(options.config, 'DELETE', `/api/connections/${encodeURIComponent(id)}${query}`)
  process.stdout.write(`${id}: revoked\n`)
}
