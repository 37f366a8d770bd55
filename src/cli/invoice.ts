/** `toolgate usage invoice`: a tenant’s statement of a month, for programs or for paper. */
import { GatewayError } from '../core/errors.ts'
import { replaceFile } from '../store/files.ts'
import { invoicePage } from './invoice-page.ts'
import { tell, withUsage } from './open-usage.ts'

export interface InvoiceOptions {
  readonly config?: string
  readonly month: string
  readonly tenant: string
  readonly format: 'json' | 'html'
  readonly out?: string
}

export async function invoice({ config, month, tenant, format, out }: InvoiceOptions): Promise<void> {
  const statement = await withUsage(config, (usage) => usage.invoice({ month, tenant }))
  const text = format === 'html' ? invoicePage(statement) : `${JSON.stringify(statement, null, 2)}\n`
  if (out === undefined) process.stdout.write(text)
  else
    await replaceFile(out, text).catch((cause: unknown) => {
      throw new GatewayError('invalid_params', { words: `The file ${out} cannot be written.`, cause })
    })
  const isEmpty = statement.lines.length === 0 && statement.notBilled.length === 0
  tell(
    isEmpty ? [...(statement.notes ?? []), `nothing of a tenant ${tenant} is recorded in ${month}`] : statement.notes,
  )
}
