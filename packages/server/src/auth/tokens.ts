import { timingSafeEqual } from 'node:crypto'
import type { Clock, Logger, Store } from '@holdfast/core'
import { HoldfastError } from '@holdfast/protocol'
import type { Access } from '../host.ts'
import { type Entropy, hashOf, newSecret } from './secret.ts'
import { parseTokenRequest } from './token-body.ts'
import { docFromToken, type TokenInfo, type TokenRecord, tokenFromDoc, tokenRecord } from './token-record.ts'

/** Where tokens live in the store. */
export const TOKENS_COLLECTION = 'tokens'

/** Tokens are all in memory; beyond this the oldest dead ones are forgotten, and without any dead one minting is refused. */
export const MAX_TOKENS = 10_000

/** How long an expiry may go unnoticed. Wall time is looked at again this often, since timers do not see it jump (a suspended machine, a corrected clock). */
const EXPIRY_CHECK_MS = 1000

const SECRET_FORM = /^hf_([0-9A-Za-z-]{1,64})_[A-Za-z0-9_-]{43}$/
/** Compared with where the id is unknown, so that the time taken does not tell which ids exist. */
const NO_HASH = Buffer.alloc(32)

export interface TokensOptions {
  readonly store: Pick<Store, 'listDocs'>
  /** Resolves once the document is on disk; null deletes. */
  readonly putDoc: (collection: string, id: string, value: string | null) => Promise<void>
  readonly clock: Clock
  readonly random: Entropy
  readonly logger: Logger
}

/** The minted tokens (contract sections 4 and 9, OPS-01). */
export interface Tokens {
  /** Checks a `POST /tokens` body, stores the token, and gives it with its secret, which is never shown again. Throws `invalid_request`, `rate_limited`, `storage_failed`. */
  mint(body: unknown): Promise<TokenInfo & { readonly token: string }>
  /** Oldest first, without secrets. */
  list(): TokenInfo[]
  /** Takes effect at once and is on disk when it resolves; twice is the same as once. Throws `not_found`, and `storage_failed` where it would not survive a restart: then it must be repeated. */
  revoke(id: string): Promise<void>
  /** Who holds this secret; undefined where it is wrong, revoked or expired. */
  find(secret: string): (Access & { readonly tokenId: string }) | undefined
  /** True while the token is neither revoked nor expired. */
  isLive(tokenId: string): boolean
  /** Calls back when a token is revoked, and within 1 s of its expiry. */
  onRevoked(listener: (tokenId: string) => void): () => void
  /** Stops the expiry timer. */
  close(): void
}

/** Reads the stored tokens into memory; a document that cannot be read is reported and its token refused. */
export async function createTokens({ store, putDoc, clock, random, logger }: TokensOptions): Promise<Tokens> {
  const records = new Map<string, TokenRecord>()
  const listeners = new Set<(tokenId: string) => void>()
  /** Revoked in memory while the store refused to keep it. */
  const unsaved = new Set<string>()
  /** Expiries that the listeners were told of. */
  const toldExpired = new Set<string>()
  let pendingMints = 0
  let closed = false
  let stopTimer: (() => void) | undefined

  const stored: TokenRecord[] = []
  for (const doc of await store.listDocs(TOKENS_COLLECTION)) {
    const record = tokenFromDoc(doc.id, doc.value)
    if (record) stored.push(record)
    else logger.warn('a stored token cannot be read and is refused', { token_id: doc.id })
  }
  stored.sort((a, b) => Date.parse(a.info.created_at) - Date.parse(b.info.created_at))
  for (const record of stored) records.set(record.info.id, record)

  const isExpired = (record: TokenRecord) => clock.wallMs() >= record.expiresAt
  const isDead = (record: TokenRecord) => record.info.revoked || isExpired(record)

  function tell(tokenId: string) {
    for (const listener of [...listeners]) {
      try {
        listener(tokenId)
      } catch (error) {
        logger.error('a listener of token revocations failed', { token_id: tokenId, error: String(error) })
      }
    }
  }

  async function save(id: string, value: string | null) {
    try {
      await putDoc(TOKENS_COLLECTION, id, value)
    } catch (error) {
      if (error instanceof HoldfastError) throw error
      throw new HoldfastError('storage_failed', 'The token could not be written to disk; nothing was changed there.', { token_id: id }, { cause: error })
    }
  }

  /** Waits for the nearest expiry, in steps of at most EXPIRY_CHECK_MS. */
  function arm() {
    stopTimer?.()
    stopTimer = undefined
    if (closed) return
    let nearest = Infinity
    for (const record of records.values()) {
      if (!record.info.revoked && !toldExpired.has(record.info.id)) nearest = Math.min(nearest, record.expiresAt)
    }
    if (nearest === Infinity) return
    stopTimer = clock.after(Math.max(1, Math.min(nearest - clock.wallMs(), EXPIRY_CHECK_MS)), expire)
  }

  function expire() {
    for (const record of records.values()) {
      const { id, revoked } = record.info
      if (revoked || toldExpired.has(id) || !isExpired(record)) continue
      toldExpired.add(id)
      tell(id)
    }
    arm()
  }

  async function makeRoom() {
    if (records.size + pendingMints < MAX_TOKENS) return
    for (const [id, record] of records) {
      if (!isDead(record) || unsaved.has(id)) continue
      records.delete(id)
      toldExpired.delete(id)
      await save(id, null)
      return
    }
    throw new HoldfastError('rate_limited', `There are ${MAX_TOKENS} live tokens already; revoke some.`, {
      limit: 'tokens',
      max: MAX_TOKENS,
      retry_after_ms: 60_000,
    })
  }

  arm()

  return {
    async mint(body) {
      const request = parseTokenRequest(body, clock.wallMs())
      await makeRoom()
      const id = random.id()
      const token = `hf_${id}_${newSecret(random)}`
      const info: TokenInfo = {
        id,
        subject: request.subject,
        scopes: request.scopes,
        ...(request.sessionId === undefined ? {} : { session_id: request.sessionId }),
        ...(request.expiresAt === undefined ? {} : { expires_at: new Date(request.expiresAt).toISOString() }),
        created_at: new Date(clock.wallMs()).toISOString(),
        revoked: false,
      }
      const record = tokenRecord(info, hashOf(token))
      pendingMints += 1
      try {
        await save(id, docFromToken(record))
      } finally {
        pendingMints -= 1
      }
      records.set(id, record)
      arm()
      logger.info('token minted', { token_id: id, subject: info.subject, scopes: info.scopes })
      return { ...info, token }
    },

    list: () => [...records.values()].map(record => record.info),

    async revoke(id) {
      const record = records.get(id)
      if (!record) throw new HoldfastError('not_found', `There is no token "${id}".`, { token_id: id })
      if (record.info.revoked && !unsaved.has(id)) return
      const revoked = { ...record, info: { ...record.info, revoked: true } }
      records.set(id, revoked)
      unsaved.add(id)
      if (!record.info.revoked) {
        logger.info('token revoked', { token_id: id, subject: record.info.subject })
        tell(id)
        arm()
      }
      await save(id, docFromToken(revoked))
      unsaved.delete(id)
    },

    find(secret) {
      const id = SECRET_FORM.exec(secret)?.[1]
      if (id === undefined) return undefined
      const record = records.get(id)
      const matches = timingSafeEqual(hashOf(secret), record?.hash ?? NO_HASH)
      if (!record || !matches || isDead(record)) return undefined
      // The wall clock went back behind an expiry that was told: it will come again.
      if (toldExpired.delete(id)) arm()
      return { principal: record.principal, tokenId: id }
    },

    isLive(tokenId) {
      const record = records.get(tokenId)
      return record !== undefined && !isDead(record)
    },

    onRevoked(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },

    close() {
      closed = true
      stopTimer?.()
      stopTimer = undefined
    },
  }
}
