/** `toolgate approve`: takes what a pinned target's changed description comes to. */
import { admin } from './admin-client.ts'

export interface ApproveOptions {
  readonly config?: string
  readonly held?: string
}

export async function approve(target: string, options: ApproveOptions): Promise<void> {
  const query = options.held === undefined ? '' : `?version=${encodeURIComponent(options.held)}`
  await admin(options.config, 'POST', `/api/targets/${encodeURIComponent(target)}/approval${query}`)
  process.stdout.write(`${target}: approved and in force\n`)
}
