/** A role is kept this long after its last attachment, or a restart. */
export const KEEP_ROLE_MS = 30_000

/** Who may type (contract section 5, "Terminal roles"). */
export interface Roles {
  readonly writer: string | undefined
  /** How often each seat is attached. */
  readonly attached: ReadonlyMap<string, number>
  /** When the writer's last attachment ended, on the steady clock; undefined while it has one. */
  readonly leftAt: number | undefined
}

/** After a restart the writer of before has its time to come back. */
export const rolesAtStart = (writer: string | undefined, nowMs: number): Roles => ({
  writer,
  attached: new Map(),
  leftAt: writer === undefined ? undefined : nowMs,
})

/** The writer at this moment; undefined where there is none, or its time is over. */
export const writerAt = ({ writer, leftAt }: Roles, nowMs: number): string | undefined =>
  leftAt !== undefined && nowMs - leftAt >= KEEP_ROLE_MS ? undefined : writer

/** Somebody attaches: the first with write scope is the writer; with `single_user` a new one takes over, and one that comes back does not (TERM-13). */
export function withSeat(
  roles: Roles,
  {
    seat,
    mayWrite,
    isReconnect,
    singleUser,
  }: { readonly seat: string; readonly mayWrite: boolean; readonly isReconnect: boolean; readonly singleUser: boolean },
  nowMs: number,
): Roles {
  const attached = new Map(roles.attached).set(seat, (roles.attached.get(seat) ?? 0) + 1)
  const writer = writerAt(roles, nowMs)
  const takes = mayWrite && (writer === undefined || writer === seat || (singleUser && !isReconnect))
  if (takes) return { writer: seat, attached, leftAt: undefined }
  return { writer, attached, leftAt: writer === undefined ? undefined : roles.leftAt }
}

/** An attachment ends. Who has no client id can't be known again, and keeps nothing. */
export function withoutSeat(roles: Roles, seat: string, nowMs: number): Roles {
  const count = (roles.attached.get(seat) ?? 1) - 1
  const attached = new Map(roles.attached)
  if (count > 0) attached.set(seat, count)
  else attached.delete(seat)
  if (count > 0 || roles.writer !== seat) return { ...roles, attached }
  return !seat.startsWith('c:') ? { writer: undefined, attached, leftAt: undefined } : { ...roles, attached, leftAt: nowMs }
}

/** The role goes to this seat; from where it is not attached it is kept as after its last attachment. */
export const withWriter = (roles: Roles, seat: string, nowMs: number): Roles => ({
  ...roles,
  writer: seat,
  leftAt: roles.attached.has(seat) ? undefined : nowMs,
})

/** True for the writer itself, and for a principal's single requests where its own connection without a client id is the writer. */
export const speaksFor = (seat: string, writer: string): boolean =>
  seat === writer || (seat.startsWith('p:') && writer.startsWith('s:') && writer.endsWith(`@${seat.slice(2)}`))
