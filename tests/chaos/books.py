# SPDX-License-Identifier: MIT
"""
The books of a round: what was to be sent, what the commands and the server said of it, and whether that is true of what
lies there. Nothing in here knows which faults there were; the world says what they excuse.
"""
import os
import re
import subprocess
import threading

ORDER = (3, 5, 1, 4, 0)  # exit codes, the most serious one first: lastbyte-send(1)
CODES = {"committed": 0, "rolled_back": 1, "refused": 1, "in_doubt": 3, "not_committed": 4, "forgotten": 5}
# What no fault of disk, link or process explains: somebody counted or kept bytes wrongly, or spoke wrongly.
NEVER = ("wrong_length", "wrong_digest", "protocol", "source_changed", "source_unreadable", "bad_name", "too_large",
         "another_ledger", "none")


class Books:
    def __init__(self, place, inbox, forgetful, did):
        self.place, self.inbox, self.sources, self.did = place, inbox, inbox.sources, did
        self.forgetful = forgetful  # whether the ledger has forgotten most of what is settled
        self.names, self.said, self.last = set(), [], {}
        self.inputs = set()  # whose records have numbers set aside, of which some were not used
        self.again = set()  # names that may be sent under several ids, each with a verdict of its own
        self.old = set()  # names that a client with an old copy of its journal may know nothing of
        self.runs = []  # what each run said, in the order in which they ended
        self.troubles, self.lock = [], threading.Lock()

    def trouble(self, text):
        with self.lock:
            self.troubles.append(text)

    def check(self, truth, text):
        if not truth:
            self.trouble(text)

    def history(self):
        """What every run said that had to do with a name or an id that is in trouble."""
        words = {word for text in self.troubles for word in re.findall(r"c[0-9]+-[0-9]+|[0-9a-f]{32}:[0-9]+", text)}
        return [story for story in self.runs if words & set(re.findall(r"c[0-9]+-[0-9]+|[0-9a-f]{32}:[0-9]+", story))]

    def heard(self, answer, names, hit, what, full, stops):
        """
        Books what one run of send or resolve said. names: what it had to tell of, None: whatever was open; hit: the
        signals that it got; full: whether a disk was full meanwhile; stops: whether it may end with a sentence about
        all that it does not tell of.
        """
        story = f"{what}: {answer!r}"
        self.runs.append(story)
        killed = answer.code < 0
        if killed:
            self.check(-answer.code in hit, f"ended by a signal that nobody sent: {story}")
        elif answer.code == 2:
            self.check(full, f"it could not start: {story}")
            return
        else:
            codes = [CODES[thing["verdict"]] for thing in answer.objects]
            worst = next((code for code in ORDER if code in codes), 0)
            self.check(answer.code == worst, f"the exit code is not that of the verdicts: {story}")
            told = [thing["name"] for thing in answer.objects]
            if stops and {thing["verdict"] for thing in answer.objects} - {"committed", "refused"}:
                self.rest(answer, names, told, story)
            else:
                self.check(names is None or len(told) == len(names), f"not a verdict for each: {story}")
        for thing in answer.objects:
            self.one(thing, names, hit, story, full)

    def rest(self, answer, names, told, story):
        """Of records, the first that is not committed is told, and that none behind the last one told of is."""
        done = [thing["name"] for thing in answer.objects if thing["verdict"] in ("committed", "refused")]
        first = next((n for n, name in enumerate(names, 1) if name not in done), None)
        said = re.search(r"^lastbyte send: ([0-9]+) records were committed; it stopped because of record ([0-9]+), "
                         "which was not, or is in doubt$", answer.err, re.M)
        self.check(len(set(told)) == len(told), f"a record is told of twice: {story}")
        self.check(said and int(said[2]) == first, f"record {first} is the first that is not committed: {story}")
        with self.lock:
            self.last.update({name: "not_committed" for name in names if name not in told})

    def one(self, thing, names, hit, story, full):
        name, verdict, reason = thing["name"], thing["verdict"], thing.get("reason")
        with self.lock:
            self.did["said " + verdict] += 1
            if reason:
                self.did["because " + reason] += 1
            if thing["id"]:
                self.said.append((thing["id"], name, verdict, story))
            if name:
                self.last[name] = verdict
        of_input = name and name.rpartition(".")[0] in self.inputs
        if name and name not in self.names:
            self.check(of_input and verdict != "committed", f"a name that nobody sent: {story}")
            return
        if verdict == "committed":
            found = self.inbox.find(name)
            self.check(found, f"committed, and not there: {story}")
            self.check(all(found.values()), f"committed, and not what was sent: {found}: {story}")
            self.check("placed" not in thing or name in self.inbox.outsiders, f"nobody else has its name: {story}")
            self.did["placed under another name"] += "placed" in thing
        elif verdict not in ("in_doubt", "forgotten") and name and name not in self.old | self.again:
            self.check(not self.inbox.find(name), f"{verdict}, and it is there: {story}")
        self.check(verdict != "forgotten" or self.forgetful, f"nothing was to be forgotten: {story}")
        if verdict != "committed" and name not in self.old:
            self.check(reason not in NEVER, f"no fault explains that: {story}")
            if reason == "settle_first":
                self.check(int(thing["id"].partition(":")[2]) > 1024, f"nothing that far below it can be open: {story}")
            if reason in ("disk_full", "io_error", "journal"):
                self.check(full, f"no disk was full: {story}")
            if reason == "interrupted":
                self.check(hit, f"nobody interrupted it: {story}")

    def digests(self):
        """As receipts write them, of all that was sent."""
        names = sorted(self.names)
        done = subprocess.run(["xxhsum", "-H2", *names], cwd=self.sources, capture_output=True, check=True, text=True)
        words = [line.split("  ", 1) for line in done.stdout.splitlines()]
        return {name: "xxh128:" + digest for digest, name in words}

    def undecided(self):
        """Ids of which the last word is that they are in doubt."""
        last = {identity: verdict for identity, _, verdict, _ in self.said}
        return [identity for identity, verdict in last.items() if verdict == "in_doubt"]

    def close(self, logged):
        """Everything is settled and nobody works any more. logged: the deliveries that servers have reported."""
        digests = self.digests() if self.names else {}
        committed = self.rows(digests)
        self.words(committed, self.contents(committed))
        self.log(committed, logged)
        self.check(not self.inbox.spoiled(), f"spoiled: {self.inbox.spoiled()}")
        self.check(not self.place.parts(), f"left over: {self.place.parts()}")

    def rows(self, digests):
        """The ledger: nothing that nobody sent, nothing twice."""
        committed = {}
        for row in self.place.committed():
            name = row["name"]
            if name not in self.names:
                self.trouble(f"the ledger has what nobody sent: {row}")
                continue
            size = os.path.getsize(os.path.join(self.sources, name))
            self.check((row["bytes"], row["digest"]) == (size, digests[name]), f"the ledger has something else: {row}")
            self.check(name not in [other["name"] for other in committed.values()], f"committed twice: {row}")
            committed[row["id"]] = row
        return committed

    def contents(self, committed):
        """Each row of the ledger is there once, and nothing else, but what was forgotten. Returns the names that are there."""
        rows, there = {row["name"] for row in committed.values()}, set()
        for name in sorted(rows | self.names):
            found = self.inbox.find(name)
            wanted = name in rows or self.forgetful and bool(found)
            self.check(len(found) == wanted, f"{name}: in the ledger: {name in rows}, there: {found}")
            self.check(all(found.values()), f"not what was sent: {name}: {found}")
            there |= {name} if found else set()
        strangers = self.inbox.names() - self.names
        self.check(not strangers, f"nobody has sent that: {sorted(strangers)}")
        return there

    def words(self, committed, present):
        """What was said, against the ledger: of each id every final word, and of each name the last one."""
        last = {}
        for identity, name, verdict, story in self.said:
            row = committed.get(identity)
            there = row is not None and name in (None, row["name"])
            if verdict == "committed":
                forgotten = self.forgetful and row is None and name in present | {None}
                self.check(there or forgotten, f"said to be committed, and not in the ledger: {identity}: {story}")
            elif CODES[verdict] in (1, 5):
                self.check(not there, f"said never to commit, and in the ledger: {identity}: {story}")
            last[identity] = (verdict, there, story)
        for identity, (verdict, there, story) in last.items():
            self.check(verdict != "in_doubt", f"still in doubt: {identity}: {story}")
            self.check(verdict == "committed" or not there, f"last said {verdict}, and in the ledger: {identity}: {story}")
        for name, verdict in self.last.items():
            unknown = verdict == "forgotten" or name in self.old | self.again
            self.check(unknown or (verdict == "committed") == (name in present),
                       f"{name}: last said {verdict}; there: {name in present}")

    def log(self, committed, logged):
        for event in logged:
            row = committed.get(event["id"])
            if event["verdict"] == "committed" and not (self.forgetful and row is None):
                same = row and all(row[key] == event[key] for key in ("name", "bytes", "digest", "committed_at"))
                self.check(same, f"the server's log has it as committed: {event}; the ledger: {row}")
            elif event.get("reason") == "fenced" and event["name"]:
                self.check(not row or row["name"] != event["name"], f"fenced in the log: {event}; the ledger: {row}")
