package simulate

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/hookstream/hookstream/simulator"
)

// maxQuestion bounds the body of a call.
const maxQuestion = 1 << 20

// A reply is what a call is answered with: a status and what to write as JSON.
type reply struct {
	status int
	body   any
	header http.Header
}

// failure is how Ignisign's API says no.
func failure(status int, code, message string) reply {
	return reply{status: status, body: map[string]string{"code": code, "message": message, "name": "IgnisignError"}}
}

// A call is one operation of the API. By is who calls; of the zero value when the
// call needs no bearer.
type call func(by App, r *http.Request) reply

func (s *API) newRoutes() http.Handler {
	mux := http.NewServeMux()
	for _, v := range []string{"/v3", "/v4"} {
		mux.Handle("POST "+v+"/auth/app-api", s.open(s.exchange))
		mux.Handle("POST "+v+"/tokens/webhook-verification/checking-consumption", s.check())
		mux.Handle("GET "+v+"/applications/{app}/envs/{env}/webhooks", s.closed(s.listWebhooks))
		mux.Handle("POST "+v+"/applications/{app}/envs/{env}/webhooks", s.closed(s.createWebhook))
		mux.Handle("PUT "+v+"/webhooks/{webhook}", s.closed(s.updateWebhook))
		mux.Handle("DELETE "+v+"/webhooks/{webhook}", s.closed(s.deleteWebhook))
		mux.Handle("POST "+v+"/webhooks/{webhook}/disabled-events", s.closed(s.disableTopics))
		mux.Handle("GET "+v+"/webhooks/{webhook}/events", s.closed(s.listEvents))
		mux.Handle("GET "+v+"/webhooks/{webhook}/events/{event}", s.closed(s.getEvent))
		mux.Handle("POST "+v+"/webhooks/{webhook}/events/{event}/resend", s.closed(s.resendEvent))
	}
	mux.HandleFunc("GET /_simulator/faults", s.readFaults)
	mux.HandleFunc("PUT /_simulator/faults", s.writeFaults)
	mux.HandleFunc("POST /_simulator/tokens", s.postToken)
	mux.HandleFunc("GET /_simulator/counts", s.readCounts)
	return mux
}

// ServeHTTP implements http.Handler.
func (s *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// open is a call that needs no bearer.
func (s *API) open(do call) http.Handler {
	return s.faulty(false, func(r *http.Request, _ Faults) reply { return do(App{}, r) })
}

// closed is a call that needs one.
func (s *API) closed(do call) http.Handler {
	return s.faulty(false, func(r *http.Request, _ Faults) reply {
		by, no := s.authenticate(r)
		if no != nil {
			return *no
		}
		return do(by, r)
	})
}

// check is the call that faults of its own may strike.
func (s *API) check() http.Handler {
	return s.faulty(true, func(r *http.Request, f Faults) reply {
		by, no := s.authenticate(r)
		if no != nil {
			return *no
		}
		return s.checkToken(by, r, f.ExpireTokens)
	})
}

// faulty serves a call as well as the faults of the moment let it.
func (s *API) faulty(check bool, do func(*http.Request, Faults) reply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, struck := s.faults.next(check)
		if struck {
			s.counters.struck.Add(1)
		}
		if f.Down == DownDrop {
			drop()
		}
		if no := f.refusal(); no != nil {
			write(w, *no)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		answer := do(r, f)
		if !s.linger(r, f) || check && f.LoseAnswer {
			drop()
		}
		write(w, answer)
	})
}

// linger makes the answer late. False: nobody waits for it any more.
func (s *API) linger(r *http.Request, f Faults) bool {
	if f.Delay == 0 {
		return true
	}
	return simulator.Wait(r.Context().Done(), f.Delay)
}

// drop closes the connection without an answer.
func drop() { panic(http.ErrAbortHandler) }

// refusal is the answer of an API that does not take the call, nil if it does.
func (f Faults) refusal() *reply {
	var no reply
	switch {
	case f.Down == Down503:
		no = failure(http.StatusServiceUnavailable, "INTERNAL_ERROR", "Service unavailable")
	case f.RateLimited:
		no = failure(http.StatusTooManyRequests, "INTERNAL_ERROR", "Too many requests")
		if f.RetryAfter > 0 {
			no.header = http.Header{"Retry-After": {strconv.Itoa(int(f.RetryAfter.Seconds()))}}
		}
	case f.RefuseCredentials:
		no = failure(http.StatusUnauthorized, "UNAUTHORIZED_ERROR", "Unauthorized")
	default:
		return nil
	}
	return &no
}

func write(w http.ResponseWriter, a reply) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // a caller that left
}

// read reads the JSON of a call, and answers what is wrong with it.
func read(r *http.Request, into any) *reply {
	body, err := io.ReadAll(r.Body)
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		no := failure(http.StatusBadRequest, "BODY_VALIDATION_FAILED", "The body is not the JSON that this call takes")
		return &no
	}
	return nil
}

func (s *API) readFaults(w http.ResponseWriter, _ *http.Request) {
	write(w, reply{status: http.StatusOK, body: s.Faults()})
}

func (s *API) writeFaults(w http.ResponseWriter, r *http.Request) {
	var faults Faults
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&faults); err != nil {
		write(w, failure(http.StatusBadRequest, "BODY_VALIDATION_FAILED", err.Error()))
		return
	}
	s.faults.set(faults)
	s.readFaults(w, r)
}

func (s *API) readCounts(w http.ResponseWriter, _ *http.Request) {
	write(w, reply{status: http.StatusOK, body: s.Counts()})
}

func (s *API) postToken(w http.ResponseWriter, r *http.Request) {
	var asked struct{ AppID, AppEnv string }
	r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
	if no := read(r, &asked); no != nil {
		write(w, *no)
		return
	}
	app := App{ID: asked.AppID, Env: asked.AppEnv}
	simulator.OrDefault(&app.ID, s.App().ID)
	simulator.OrDefault(&app.Env, s.App().Env)
	if _, known := s.app(app.ID, app.Env); !known {
		write(w, failure(http.StatusNotFound, "APP_NOT_FOUND", "No such application or environment here"))
		return
	}
	write(w, reply{status: http.StatusOK, body: map[string]string{"token": s.MintToken(app.ID, app.Env)}})
}
