package simulate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// claims are what a JWT of ours says.
type claims struct {
	AppID  string `json:"appId"`
	AppEnv string `json:"appEnv"`
	Iat    int64  `json:"iat"` // seconds, as all times in a JWT
	Exp    int64  `json:"exp"`
}

// jwtHeader is that of every JWT of ours.
const jwtHeader = `{"alg":"HS256","typ":"JWT"}`

// newJWT makes a JWT for an application, good from now on.
func (s *API) newJWT(a App) string {
	now := s.opts.Now()
	body, _ := json.Marshal(claims{ // of two strings and two numbers: nothing can go wrong
		AppID: a.ID, AppEnv: a.Env, Iat: now.Unix(), Exp: now.Add(s.opts.JWTLifetime).Unix(),
	})
	signed := encode([]byte(jwtHeader)) + "." + encode(body)
	return signed + "." + encode(s.seal(signed))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *API) seal(text string) []byte {
	mac := hmac.New(sha256.New, s.jwtKey)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// readJWT answers what a JWT of ours says, and false for any other.
func (s *API) readJWT(token string) (claims, bool) {
	var c claims
	end := strings.LastIndexByte(token, '.')
	if end < 0 {
		return c, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil || !hmac.Equal(sealed, s.seal(token[:end])) {
		return c, false
	}
	_, body, _ := strings.Cut(token[:end], ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	return c, err == nil && json.Unmarshal(text, &c) == nil
}

// exchange gives a JWT for a key of either generation.
func (s *API) exchange(_ App, r *http.Request) reply {
	var asked struct{ AppID, AppEnv, Secret string }
	if no := read(r, &asked); no != nil {
		return *no
	}
	if asked.AppID == "" || asked.AppEnv == "" || asked.Secret == "" {
		return failure(http.StatusBadRequest, "API_AUTH_BAD_REQUEST", "appId, appEnv and secret are required")
	}
	app, ok := s.app(asked.AppID, asked.AppEnv)
	if !ok || !slices.Contains(app.Keys, asked.Secret) {
		return failure(http.StatusUnauthorized, "UNAUTHORIZED_ERROR", "No such application, environment or key")
	}
	s.counters.exchanges.Add(1)
	return reply{status: http.StatusOK, body: map[string]string{"jwtToken": s.newJWT(app)}}
}

// authenticate says who calls, or refuses.
func (s *API) authenticate(r *http.Request) (App, *reply) {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return refuse("AUTH_HEADER_NOT_FOUND", "A bearer is required")
	}
	if strings.HasPrefix(bearer, newGeneration) {
		return s.byKey(bearer)
	}
	c, ok := s.readJWT(bearer)
	if !ok {
		return refuse("INVALID_AUTH_JWT_TOKEN", "The bearer is not good")
	}
	if s.opts.Now().Unix() >= c.Exp {
		return refuse("OUTDATED_AUTH_JWT_TOKEN", "The bearer is outdated")
	}
	app, ok := s.app(c.AppID, c.AppEnv)
	if !ok {
		return refuse("INVALID_AUTH_JWT_TOKEN", "The bearer is not good")
	}
	return app, nil
}

func (s *API) byKey(key string) (App, *reply) {
	i := slices.IndexFunc(s.opts.Apps, func(a App) bool { return slices.Contains(a.Keys, key) })
	if i < 0 {
		return refuse("API_KEY_NOT_FOUND", "No such key")
	}
	return s.opts.Apps[i], nil
}

func refuse(code, message string) (App, *reply) {
	no := failure(http.StatusUnauthorized, code, message)
	return App{}, &no
}
