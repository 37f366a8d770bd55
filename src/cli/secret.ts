/** `toolgate secret`: secrets that the gateway keeps sealed, for the configuration to refer to. */
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { Secret } from '../core/secret.ts'
import { createSecrets } from '../vault/secrets.ts'
import { withState } from './open-state.ts'
import { table } from './print.ts'

interface CommonOptions {
  readonly config?: string
}

/** The secret comes on standard input, so that no list of processes and no history of a shell has it. */
export async function setSecret(name: string, options: CommonOptions): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write('Type the secret, then Enter and Ctrl-D:\n')
  const secret = await readInput()
  await withState(options.config, async ({ records, vault, audit }) => {
    await createSecrets(records, vault, systemClock).set(name, secret)
    audit.note({ act: 'secret set', outcome: 'ok', name })
  })
  process.stdout.write(`${name}: kept; refer to it as {"vault": "${name}"}\n`)
}

async function readInput(): Promise<Secret> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > limits.secretBytes)
      throw new GatewayError('invalid_params', { words: `A secret has at most ${limits.secretBytes} bytes.` })
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8').trim()
  if (text === '') throw new GatewayError('invalid_params', { words: 'Nothing came on standard input.' })
  return new Secret(text)
}

export async function listSecrets(options: CommonOptions): Promise<void> {
  const found = await withState(options.config, ({ records, vault }) =>
    createSecrets(records, vault, systemClock).list(),
  )
  process.stdout.write(
    table(
      ['NAME', 'UPDATED'],
      found.map(({ name, updated }) => [name, new Date(updated).toISOString()]),
    ),
  )
}

export async function removeSecret(name: string, options: CommonOptions): Promise<void> {
  const was = await withState(options.config, async ({ records, vault, audit }) => {
    const found = await createSecrets(records, vault, systemClock).remove(name)
    audit.note({ act: 'secret remove', outcome: found ? 'ok' : 'absent', name })
    return found
  })
  if (!was) throw new GatewayError('not_found', { words: `There is no secret ${name}.` })
  process.stdout.write(`${name}: removed\n`)
}
